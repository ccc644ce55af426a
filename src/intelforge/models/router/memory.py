"""A router's log in memory: the reference for the contract."""

from collections.abc import Sequence
from dataclasses import replace

from intelforge.core.errors import NotFoundError
from intelforge.models.router.log import KEPT, Routed, checked_quality
from intelforge.models.router.values import Judgement


class MemoryRouterLog:
    """Lives as long as its process."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._routed: dict[str, Routed] = {}
        self._states: dict[str, bytes] = {}

    async def record(self, routed: Routed) -> None:
        self._routed[routed.id] = routed
        while len(self._routed) > self._kept:
            del self._routed[next(iter(self._routed))]

    async def judge(self, call: str, quality: float, source: Judgement) -> Routed:
        if call not in self._routed:
            raise NotFoundError(f"the router has no call {call} on record", hint="it keeps the last ones only")
        self._routed[call] = replace(self._routed[call], quality=checked_quality(quality), source=source)
        return self._routed[call]

    async def all(self) -> Sequence[Routed]:
        return sorted(self._routed.values(), key=lambda one: (one.at, one.id))

    async def save(self, name: str, state: bytes) -> None:
        self._states[name] = state

    async def load(self, name: str) -> bytes | None:
        return self._states.get(name)

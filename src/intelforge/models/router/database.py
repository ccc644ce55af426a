"""A router's log in the database of record."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import NotFoundError
from intelforge.models.router.log import KEPT, Routed, checked_quality, request_as_json, request_from_json
from intelforge.models.router.values import Judgement
from intelforge.store.database import Database
from intelforge.store.router_log import RouterCalls

NANO: Final = 1_000_000_000
VECTOR: Final = np.dtype("<f4")


class DatabaseRouterLog:
    """Keeps what the contract `RouterLog` says."""

    def __init__(self, database: Database, *, kept: int = KEPT, clock: Clock = utc_now) -> None:
        self._calls = RouterCalls(database, kept=kept)
        self._clock = clock

    async def record(self, routed: Routed) -> None:
        request = request_as_json(routed.request)
        request.pop("embedding")
        vector = routed.request.embedding
        await self._calls.record(
            {
                "id": routed.id,
                "at": routed.at,
                "model": routed.model,
                "propensity": routed.propensity,
                "quality": routed.quality,
                "source": routed.source.value,
                "cost_nano": None if routed.cost is None else round(routed.cost * NANO),
                "latency": routed.latency,
                "output_tokens": routed.output_tokens,
                "request": request,
                "embedding": b"" if vector is None else vector.astype(VECTOR).tobytes(),
            }
        )

    async def judge(self, call: str, quality: float, source: Judgement) -> Routed:
        row = await self._calls.judge(call, quality=checked_quality(quality), source=source.value)
        if row is None:
            raise NotFoundError(f"the router has no call {call} on record", hint="it keeps the last ones only")
        return _routed(row)

    async def all(self) -> Sequence[Routed]:
        return [_routed(row) for row in await self._calls.all()]

    async def save(self, name: str, state: bytes) -> None:
        await self._calls.save(name, state, at=self._clock())

    async def load(self, name: str) -> bytes | None:
        return await self._calls.load(name)


def _routed(row: Mapping[str, Any]) -> Routed:
    vector = np.frombuffer(row["embedding"], VECTOR).astype(np.float32) if row["embedding"] else None
    return Routed(
        id=row["id"],
        at=row["at"],
        request=request_from_json({**row["request"], "embedding": vector}),
        model=row["model"],
        propensity=row["propensity"],
        quality=row["quality"],
        source=Judgement(row["source"]),
        cost=None if row["cost_nano"] is None else row["cost_nano"] / NANO,
        latency=row["latency"],
        output_tokens=row["output_tokens"],
    )

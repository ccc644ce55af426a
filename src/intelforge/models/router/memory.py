"""A router's log in memory: the reference for the contract."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from intelforge.core.errors import NotFoundError
from intelforge.models.router.log import Routed, checked_quality
from intelforge.models.router.protocol import (
    AGAIN_SECONDS,
    EVENTS_KEPT,
    KEPT,
    PAGE,
    Event,
    Kind,
    Outcome,
    Settled,
    Snapshot,
)
from intelforge.models.router.values import Judgement


class MemoryRouterLog:
    """Lives as long as its process."""

    def __init__(self, *, kept: int = KEPT, events_kept: int = EVENTS_KEPT) -> None:
        self._kept = kept
        self._events_kept = events_kept
        self._calls: dict[str, Settled] = {}
        self._events: list[Event] = []
        self._last = 0
        self._snapshot: Snapshot | None = None

    async def settle(self, settled: Sequence[Settled]) -> None:
        for one in settled:
            self._calls[one.routed.id] = one
            while len(self._calls) > self._kept:
                del self._calls[next(iter(self._calls))]
            for place, outcome in enumerate(one.outcomes):
                first = Event(number=0, kind=Kind.OUTCOME, era=one.era, spending=one.spending)
                event = Event(number=0, kind=Kind.OUTCOME) if place else first
                self._add(replace(event, outcome=outcome, request=one.routed.request))
            before = self._asked_before(one)
            if before and before.routed.source is not Judgement.RETRY:
                self._judge(before, 0.0, Judgement.RETRY)

    async def judge(self, call: str, quality: float, source: Judgement) -> None:
        checked_quality(quality)
        if call not in self._calls:
            raise NotFoundError(f"the router has no call {call} on record", hint="it keeps the last ones only")
        self._judge(self._calls[call], quality, source)

    async def mark(self, kind: Kind) -> None:
        self._add(Event(number=0, kind=kind))

    async def replace(self, state: bytes) -> None:
        self._add(Event(number=0, kind=Kind.IMPORT))
        self._snapshot = Snapshot(state, self._last)

    async def since(self, number: int) -> Sequence[Event] | None:
        found = [event for event in self._events if event.number > number][:PAGE]
        return None if found and found[0].number != number + 1 else found

    async def all(self) -> Sequence[Routed]:
        return sorted((one.routed for one in self._calls.values()), key=lambda one: (one.at, one.id))

    async def save(self, state: bytes, number: int) -> bool:
        if self._snapshot is not None and self._snapshot.number >= number:
            return False
        self._snapshot = Snapshot(state, number)
        self._events = [event for event in self._events if event.number > number - self._events_kept]
        return True

    async def load(self) -> Snapshot | None:
        return self._snapshot or (Snapshot(b"", 0) if self._last else None)

    def _add(self, event: Event) -> None:
        self._last += 1
        self._events.append(replace(event, number=self._last))

    def _judge(self, settled: Settled, quality: float, source: Judgement) -> None:
        routed = settled.routed
        weaker = source is Judgement.RETRY and routed.quality is not None
        if not routed.replied and not weaker:
            noted = replace(routed, quality=quality, source=source)
            self._calls[routed.id] = replace(settled, routed=noted)
        outcome = Outcome(model=routed.replied or routed.model, quality=quality, source=source)
        self._add(Event(number=0, kind=Kind.OUTCOME, outcome=outcome, request=routed.request))

    def _asked_before(self, settled: Settled) -> Settled | None:
        """The last call with the same question, if its reply was there before this one was asked for."""
        at, within = settled.routed.at, timedelta(seconds=AGAIN_SECONDS)
        same = [
            one
            for one in self._calls.values()
            if one.asked == settled.asked != "" and one is not settled and at - within <= one.routed.at <= at
        ]
        last = max(same, key=lambda one: one.routed.at, default=None)
        there = last is not None and last.routed.at + timedelta(seconds=last.routed.latency or 0.0) <= at
        return last if there else None

"""A router's log in the database of record."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import numpy as np

from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import NotFoundError
from intelforge.models.router.log import Routed, checked_quality, request_as_json, request_from_json
from intelforge.models.router.policy import Spending
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
from intelforge.models.router.values import Judgement, RequestFeatures
from intelforge.store.database import Database
from intelforge.store.router_log import Entry, RouterCalls, Verdict

NANO: Final = 1_000_000_000
VECTOR: Final = np.dtype("<f4")
AGAIN: Final = Verdict(quality=0.0, source=Judgement.RETRY.value, weak=True)
_UNREADABLE: Final = (KeyError, TypeError, ValueError)
"""what features of another version raise"""


class DatabaseRouterLog:
    """Keeps what the contract `RouterLog` says."""

    def __init__(
        self, database: Database, *, kept: int = KEPT, events_kept: int = EVENTS_KEPT, clock: Clock = utc_now
    ) -> None:
        self._calls = RouterCalls(database, kept=kept)
        self._events_kept = events_kept
        self._clock = clock

    async def settle(self, settled: Sequence[Settled]) -> None:
        entries = [Entry(_call(one), _events(one)) for one in settled]
        await self._calls.settle(entries, again=AGAIN, within=timedelta(seconds=AGAIN_SECONDS))

    async def judge(self, call: str, quality: float, source: Judgement) -> None:
        weak = source is Judgement.RETRY
        verdict = Verdict(quality=checked_quality(quality), source=source.value, weak=weak)
        if not await self._calls.judge(call, verdict):
            raise NotFoundError(f"the router has no call {call} on record", hint="it keeps the last ones only")

    async def mark(self, kind: Kind) -> None:
        await self._calls.mark(kind.value)

    async def replace(self, state: bytes) -> None:
        await self._calls.replace(state, kind=Kind.IMPORT.value, at=self._clock())

    async def since(self, number: int) -> Sequence[Event] | None:
        rows = await self._calls.since(number, limit=PAGE)
        return None if rows and rows[0]["number"] != number + 1 else [_event(row) for row in rows]

    async def all(self) -> Sequence[Routed]:
        return [found for row in await self._calls.all() if (found := _routed(row)) is not None]

    async def save(self, state: bytes, number: int) -> bool:
        return await self._calls.save(state, number, at=self._clock(), kept=self._events_kept)

    async def load(self) -> Snapshot | None:
        found = await self._calls.load()
        return Snapshot(*found) if found else None


def _call(settled: Settled) -> dict[str, Any]:
    routed = settled.routed
    request = request_as_json(routed.request)
    request.pop("embedding")
    vector = routed.request.embedding
    return {
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
        "replied": routed.replied,
        "asked": settled.asked,
    }


def _events(settled: Settled) -> list[dict[str, Any]]:
    """The first one has what the call was expected to cost."""
    events: list[dict[str, Any]] = [
        {
            "kind": Kind.OUTCOME.value,
            "call": settled.routed.id,
            "model": one.model,
            "quality": one.quality,
            "source": one.source.value,
            "latency": one.latency,
            "output_tokens": one.output_tokens,
        }
        for one in settled.outcomes
    ]
    if events:
        events[0] |= {"era": settled.era, **_columns(settled.spending)}
    return events


def _columns(spending: Spending) -> dict[str, float]:
    return {
        "spent": spending.total,
        "exploring": spending.exploring,
        "expected": spending.quality,
        "given_up": spending.given_up,
    }


def _event(row: Mapping[str, Any]) -> Event:
    return Event(
        number=row["number"],
        kind=Kind(row["kind"]),
        outcome=Outcome(
            model=row["model"],
            quality=row["quality"],
            source=Judgement(row["source"]),
            latency=row["latency"],
            output_tokens=row["output_tokens"],
        ),
        request=_request(row) if row["request"] else None,
        era=row["era"],
        spending=Spending(
            total=row["spent"], exploring=row["exploring"], quality=row["expected"], given_up=row["given_up"]
        ),
    )


def _request(row: Mapping[str, Any]) -> RequestFeatures | None:
    vector = np.frombuffer(row["embedding"], VECTOR).astype(np.float32) if row["embedding"] else None
    with suppress(*_UNREADABLE):
        return request_from_json({**row["request"], "embedding": vector})
    return None


def _routed(row: Mapping[str, Any]) -> Routed | None:
    request = _request(row)
    if request is None:
        return None
    return Routed(
        id=row["id"],
        at=row["at"],
        request=request,
        model=row["model"],
        propensity=row["propensity"],
        quality=row["quality"],
        source=Judgement(row["source"]),
        cost=None if row["cost_nano"] is None else row["cost_nano"] / NANO,
        latency=row["latency"],
        output_tokens=row["output_tokens"],
        replied=row["replied"],
    )

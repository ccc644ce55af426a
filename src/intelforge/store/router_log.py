"""The repository of the router's calls, events and states. Bounded: the oldest are forgotten, now and then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from intelforge.store.database import Database
from intelforge.store.tables import RouterCallRow, RouterCounterRow, RouterEventRow, RouterStateRow

PRUNED_EVERY: Final = 200
"""events"""
NAME: Final = "default"
"""of the state"""
NO_EVENT: Final[Mapping[str, Any]] = {
    "call": "", "model": "", "quality": None, "source": "none", "latency": None, "output_tokens": None, "era": "",
    "spent": 0.0, "exploring": 0.0, "expected": 0.0, "given_up": 0.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A call with its events, as columns."""

    call: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How good a reply was."""

    quality: float
    source: str
    weak: bool = False
    """takes no other's place on record"""


class RouterCalls:
    """Rows as mappings of their columns; `models` knows what they mean."""

    def __init__(self, database: Database, *, kept: int) -> None:
        self._database = database
        self._kept = kept

    async def settle(self, entries: Sequence[Entry], *, again: Verdict, within: timedelta) -> None:
        """Adds calls and their events; `again` is said of each call whose question is asked again `within` so long."""
        async with self._database.write() as connection:
            last = await self._locked(connection)
            events: list[Mapping[str, Any]] = []
            for entry in entries:
                statement = self._database.insert(RouterCallRow).values(**entry.call)
                await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=dict(entry.call)))
                events += entry.events
                before = await _asked_before(connection, entry.call, within)
                if before is not None and before["source"] != again.source:
                    events.append(await _judged(connection, before, again))
            await _add(connection, last, events)
            if last // PRUNED_EVERY != (last + len(events)) // PRUNED_EVERY:
                await self._prune(connection)

    async def judge(self, call: str, verdict: Verdict) -> bool:
        """Notes how good a reply was, and adds that as an event; False when no such call is on record."""
        async with self._database.write() as connection:
            last = await self._locked(connection)
            row = (await connection.execute(select(RouterCallRow).where(RouterCallRow.id == call))).one_or_none()
            if row is None:
                return False
            await _add(connection, last, [await _judged(connection, row._asdict(), verdict)])
            return True

    async def mark(self, kind: str) -> None:
        """Adds an event that is of no call."""
        async with self._database.write() as connection:
            await _add(connection, await self._locked(connection), [{"kind": kind}])

    async def replace(self, state: bytes, *, kind: str, at: datetime) -> None:
        """Keeps a state, and adds an event after which it holds."""
        async with self._database.write() as connection:
            last = await self._locked(connection)
            await _add(connection, last, [{"kind": kind}])
            await self._kept_state(connection, state, last + 1, at)

    async def since(self, number: int, *, limit: int) -> Sequence[Mapping[str, Any]]:
        """Events after a number, with the request of their call, in their order."""
        statement = (
            select(*RouterEventRow.__table__.columns, RouterCallRow.request, RouterCallRow.embedding)
            .outerjoin(RouterCallRow, RouterCallRow.id == RouterEventRow.call)
            .where(RouterEventRow.number > number)
            .order_by(RouterEventRow.number)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [row._asdict() for row in await connection.execute(statement)]

    async def all(self) -> Sequence[Mapping[str, Any]]:
        """The last calls on record, oldest first."""
        newest = RouterCallRow.at.desc(), RouterCallRow.id.desc()
        statement = select(RouterCallRow).order_by(*newest).limit(self._kept)
        async with self._database.read() as connection:
            return [row._asdict() for row in reversed((await connection.execute(statement)).all())]

    async def save(self, state: bytes, number: int, *, at: datetime, kept: int) -> bool:
        """Keeps a state unless one as far on is there; then forgets the events before the last `kept` in it."""
        async with self._database.write() as connection:
            done = await self._kept_state(connection, state, number, at)
            if done:
                await connection.execute(delete(RouterEventRow).where(RouterEventRow.number <= number - kept))
            return done

    async def load(self) -> tuple[bytes, int] | None:
        """The state, empty before one was kept, and its number; None when there are no events either."""
        kept = select(RouterStateRow.state, RouterStateRow.number).where(RouterStateRow.name == NAME)
        begun = select(RouterCounterRow.last).where(RouterCounterRow.name == NAME)
        async with self._database.read() as connection:
            row = (await connection.execute(kept)).one_or_none()
            if row is not None:
                return row.state, row.number
            return (b"", 0) if (await connection.execute(begun)).one_or_none() else None

    async def _kept_state(self, connection: AsyncConnection, state: bytes, number: int, at: datetime) -> bool:
        """Puts a state in place of one that is less far on."""
        values = {"name": NAME, "at": at, "state": state, "number": number}
        statement = self._database.insert(RouterStateRow).values(**values)
        done = statement.on_conflict_do_update(
            index_elements=["name"], set_=values, where=RouterStateRow.number < number
        ).returning(RouterStateRow.name)
        return (await connection.execute(done)).one_or_none() is not None

    async def _locked(self, connection: AsyncConnection) -> int:
        """The number of the last event. No other process adds any before this transaction ends."""
        statement = self._database.insert(RouterCounterRow).values(name=NAME, last=0)
        held = statement.on_conflict_do_update(index_elements=["name"], set_={"name": NAME})
        return int((await connection.execute(held.returning(RouterCounterRow.last))).scalar_one())

    async def _prune(self, connection: AsyncConnection) -> None:
        """Forgets the oldest calls. The index on `at` finds where they begin."""
        oldest = select(RouterCallRow.at).order_by(RouterCallRow.at.desc()).offset(self._kept - 1).limit(1)
        await connection.execute(delete(RouterCallRow).where(RouterCallRow.at < oldest.scalar_subquery()))


async def _add(connection: AsyncConnection, last: int, events: Sequence[Mapping[str, Any]]) -> None:
    """Adds events after the last one."""
    if not events:
        return
    values = [{**NO_EVENT, **event, "number": last + place} for place, event in enumerate(events, 1)]
    await connection.execute(insert(RouterEventRow), values)
    counter = update(RouterCounterRow).where(RouterCounterRow.name == NAME)
    await connection.execute(counter.values(last=last + len(events)))


async def _asked_before(
    connection: AsyncConnection, call: Mapping[str, Any], within: timedelta
) -> Mapping[str, Any] | None:
    """The last call with the same question, if its reply was there before this one was asked for."""
    if not call["asked"]:
        return None
    statement = (
        select(RouterCallRow)
        .where(RouterCallRow.asked == call["asked"], RouterCallRow.at.between(call["at"] - within, call["at"]))
        .where(RouterCallRow.id != call["id"])
        .order_by(RouterCallRow.at.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).one_or_none()
    there = row is not None and row.at + timedelta(seconds=row.latency or 0.0) <= call["at"]
    return row._asdict() if row is not None and there else None


async def _judged(connection: AsyncConnection, call: Mapping[str, Any], verdict: Verdict) -> Mapping[str, Any]:
    """Notes on record how good the reply was, if the chosen model gave it. The event of that."""
    if not call["replied"] and not (verdict.weak and call["quality"] is not None):
        statement = update(RouterCallRow).where(RouterCallRow.id == call["id"])
        await connection.execute(statement.values(quality=verdict.quality, source=verdict.source))
    return {
        "kind": "outcome",
        "call": call["id"],
        "model": call["replied"] or call["model"],
        "quality": verdict.quality,
        "source": verdict.source,
    }

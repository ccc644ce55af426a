"""Calls on record: entered in batches, none lost, none twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from intelforge.core.costs import Budget, Period
from intelforge.core.errors import ErrorCode, StorageError
from intelforge.store.budgets import Budgets
from intelforge.store.calls import Calls
from intelforge.store.database import Database, open_database
from intelforge.store.reservations import Book
from intelforge.store.tables import CallRow
from intelforge.testing.ledger import discrepancies


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HERE, GONE, ELSEWHERE = "host:1:1:a", "host:2:1:b", "other:1:1:c"


@dataclass(frozen=True, kw_only=True)
class Entry:
    id: str
    kind: str = "chat"
    model: str = "openai:small"
    provider: str = "openai"
    purpose: str = "answer"
    user: str = ""
    team: str = ""
    run: str = ""
    local: bool = False
    state: str = "reserved"
    reserved_usd: float = 0.01
    priced: bool = True
    cost_usd: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0
    seconds: float = 0.0
    first_token_seconds: float | None = None
    error: str = ""
    at: datetime = AT


def settled(entry: Entry, cost: float | None = 0.0025) -> Entry:
    return replace(entry, state="settled", cost_usd=cost)


@pytest.fixture
async def calls(database: Database) -> AsyncIterator[Calls]:
    opened = Calls(database, owner=HERE, clock=lambda: AT)
    yield opened
    await opened.close()


class Disk:
    """Lets transactions fail for a while."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: StorageError | None = None
        self.written = asyncio.Event()
        self._transact = database.transact
        monkeypatch.setattr(database, "transact", self.transact)

    async def transact(self, work: Callable[[Connection], Any]) -> Any:
        if self.error:
            raise self.error
        done = await self._transact(work)
        self.written.set()
        return done

    def fill(self) -> None:
        self.error = StorageError("the disk is full", code=ErrorCode.DISK_FULL)


@pytest.fixture
def disk(database: Database, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(database, monkeypatch)


async def test_a_call_is_one_row_from_reservation_to_settlement(calls: Calls) -> None:
    reserved = Entry(id="c1", user="ann", reserved_usd=0.1)
    await calls.reserve(reserved)
    [row] = await calls.all()
    assert (row["state"], row["reserved_usd"], row["cost_usd"], row["owner"]) == ("reserved", 0.1, None, HERE)
    taken = {"input_tokens": 7, "output_tokens": 3, "thinking_tokens": 2, "first_token_seconds": 0.5, "seconds": 1.5}
    await calls.settle(replace(settled(reserved), **taken))  # type: ignore[arg-type]
    [row] = await calls.all()
    assert (row["state"], row["cost_usd"], row["charged_usd"], row["at"]) == ("settled", 0.0025, 0.0025, AT)
    assert {name: row[name] for name in taken} == taken


async def test_money_is_exact(calls: Calls) -> None:
    for number in range(100):
        await calls.reserve(Entry(id=f"c{number:02}", reserved_usd=0.1))
        await calls.settle(settled(Entry(id=f"c{number:02}"), cost=0.1))
    assert sum(row["charged_nano"] for row in await calls.all()) == 10_000_000_000


async def test_a_cost_that_is_not_known_charges_the_reservation(calls: Calls) -> None:
    await calls.reserve(Entry(id="c1"))
    await calls.settle(settled(Entry(id="c1"), cost=None))
    [row] = await calls.all()
    assert (row["cost_usd"], row["charged_usd"]) == (None, 0.01)


async def test_calls_are_given_oldest_first(calls: Calls) -> None:
    for number, hours in (("c2", 2), ("c1", 1), ("c3", 3)):
        await calls.reserve(Entry(id=number, at=AT + timedelta(hours=hours)))
    assert [row["id"] for row in await calls.all()] == ["c1", "c2", "c3"]


async def test_a_local_call_is_written_behind_and_kept_by_closing(
    database: Database, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intelforge.store.calls.LATER", 3600.0)
    calls = Calls(database, owner=HERE)
    for number in range(5):
        entry = Entry(id=f"c{number}", local=True)
        assert await calls.reserve(entry) == ()
        await calls.settle(settled(entry, cost=0.0))
    again = await open_database(migrated_url, root=tmp_path)
    assert await Calls(again).all() == []
    await calls.close()
    rows = await Calls(again).all()
    await again.close()
    assert [(row["state"], row["reserved_nano"], row["cost_nano"]) for row in rows] == [("settled", 0, 0)] * 5


async def test_a_settlement_is_written_a_moment_later_by_itself(database: Database, calls: Calls) -> None:
    await calls.reserve(Entry(id="c1"))
    await calls.settle(settled(Entry(id="c1")))
    other = Calls(database)
    async with asyncio.timeout(20):
        while (await other.all())[0]["state"] != "settled":  # noqa: ASYNC110  it is written by a timer
            await asyncio.sleep(0.01)


async def test_a_settlement_makes_room_for_the_next_reservation(database: Database, calls: Calls) -> None:
    await Budgets(database, clock=lambda: AT).set(Budget(period=Period.DAY, limit_usd=0.01, thresholds=()))
    for number in range(4):
        entry = Entry(id=f"c{number}")
        await calls.reserve(entry)
        await calls.settle(settled(entry, cost=0.0))
    assert await discrepancies(database) == []


async def test_many_calls_at_once_take_few_transactions(
    database: Database, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    commit = Book.commit

    def counted(book: Book, connection: Connection, entries: Any) -> Any:
        sizes.append(len(entries))
        return commit(book, connection, entries)

    monkeypatch.setattr(Book, "commit", counted)

    async def one(number: int) -> None:
        await calls.reserve(Entry(id=f"c{number}"))
        await calls.settle(settled(Entry(id=f"c{number}")))

    await asyncio.gather(*(one(number) for number in range(64)))
    assert {row["state"] for row in await calls.all()} == {"settled"}
    assert len(sizes) <= 4
    assert sum(sizes) == 128


async def test_a_caller_that_gives_up_while_reserving_gives_its_reservation_back(
    database: Database, calls: Calls
) -> None:
    await Budgets(database, clock=lambda: AT).set(Budget(period=Period.DAY, limit_usd=0.01))
    waiting = asyncio.create_task(calls.reserve(Entry(id="c1")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await calls.reserve(Entry(id="c2"))
    assert [(row["id"], row["state"], row["charged_nano"]) for row in await calls.all()] == [
        ("c1", "failed", 0),
        ("c2", "reserved", 0),
    ]
    assert await discrepancies(database) == []


async def test_a_settlement_that_cannot_be_written_is_kept_until_it_can(calls: Calls, disk: Disk) -> None:
    await calls.reserve(Entry(id="c1"))
    disk.fill()
    await calls.settle(settled(Entry(id="c1")))
    await calls.flush()
    with pytest.raises(StorageError, match="disk is full"):
        await calls.reserve(Entry(id="c2"))
    disk.error = None
    await calls.close()
    assert [(row["id"], row["state"]) for row in await calls.all()] == [("c1", "settled")]


async def test_all_that_could_not_be_written_is_when_it_can(
    calls: Calls, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"c{number}" for number in range(5)]
    for name in names:
        await calls.reserve(Entry(id=name))
    disk.fill()
    for name in names:
        await calls.settle(settled(Entry(id=name)))
    await calls.flush()
    disk.error = None
    monkeypatch.setattr("intelforge.store.calls.MOST_AT_ONCE", 2)
    await calls.flush()
    assert [row["state"] for row in await calls.all()] == ["settled"] * 5


async def test_calls_that_cannot_be_made_take_no_room_from_what_others_took(
    calls: Calls, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intelforge.store.calls.MOST_KEPT", 2)
    await calls.reserve(Entry(id="c1"))
    disk.fill()
    await calls.settle(settled(Entry(id="c1")))
    for number in range(4):
        with pytest.raises(StorageError):
            await calls.reserve(Entry(id=f"n{number}"))
    disk.error = None
    assert [(row["id"], row["state"]) for row in await calls.all()] == [("c1", "settled")]


async def test_a_settlement_that_fails_for_reasons_unknown_is_tried_again_a_few_times(calls: Calls, disk: Disk) -> None:
    await calls.reserve(Entry(id="c1"))
    await calls.reserve(Entry(id="c2"))
    unknown = StorageError("what is this?", code=ErrorCode.INTERNAL)
    disk.error = unknown
    await calls.settle(settled(Entry(id="c1")))
    await calls.flush()
    disk.error = None
    await calls.flush()
    disk.error = unknown
    await calls.settle(settled(Entry(id="c2")))
    for _ in range(5):
        await calls.flush()
    disk.error = None
    assert [(row["id"], row["state"]) for row in await calls.all()] == [("c1", "settled"), ("c2", "reserved")]


async def test_an_entry_that_is_wrong_fails_alone(calls: Calls) -> None:
    await calls.reserve(Entry(id="c1"))
    twice, other = await asyncio.gather(
        calls.reserve(Entry(id="c1")), calls.reserve(Entry(id="c2")), return_exceptions=True
    )
    assert isinstance(twice, StorageError)
    assert not isinstance(other, BaseException)
    assert list(other) == []
    assert [row["id"] for row in await calls.all()] == ["c1", "c2"]


@pytest.mark.parametrize("owner", [GONE, ELSEWHERE, ""])
async def test_calls_of_a_dead_process_are_charged_their_reservation_once(database: Database, owner: str) -> None:
    await Budgets(database, clock=lambda: AT).set(Budget(period=Period.DAY, limit_usd=0.03))
    now = AT

    def alive(name: str) -> bool | None:
        return {HERE: True, GONE: False}.get(name)

    dead = Calls(database, owner=owner)
    for number in range(3):
        await dead.reserve(Entry(id=f"c{number}"))
    watching = [Calls(database, owner=f"{HERE}{number}", clock=lambda: now, alive=alive) for number in range(4)]
    if owner != GONE:
        assert [await one.settle_crashed() for one in watching] == [0] * 4
        now = AT + timedelta(hours=1, seconds=1)
    await asyncio.gather(*(one.settle_crashed() for one in watching for _ in range(3)))
    assert [(row["state"], row["charged_usd"]) for row in await dead.all()] == [("crashed", 0.01)] * 3
    assert await discrepancies(database) == []
    assert (await Budgets(database, clock=lambda: AT).statuses())[0].standings[0].spent_usd == pytest.approx(0.03)


async def test_crashed_calls_that_cannot_be_written_are_not_kept_each_time_they_are_seen(
    database: Database, disk: Disk
) -> None:
    await Calls(database, owner=GONE, clock=lambda: AT).reserve(Entry(id="c1"))
    watching = Calls(database, owner=HERE, alive=lambda owner: False, clock=lambda: AT)
    disk.fill()
    for _ in range(20):
        with pytest.raises(StorageError):
            await watching.settle_crashed()
    assert not watching._later
    disk.error = None
    assert await watching.settle_crashed() == 1
    assert [row["state"] for row in await watching.all()] == ["crashed"]


async def test_one_s_own_calls_and_those_of_the_living_are_left_alone(database: Database, calls: Calls) -> None:
    await calls.reserve(Entry(id="c1"))
    for watching in (calls, Calls(database, owner=GONE, alive=lambda owner: True)):
        assert await watching.settle_crashed() == 0
    assert [row["state"] for row in await calls.all()] == ["reserved"]


async def test_a_process_taken_for_dead_settles_its_call_all_the_same(database: Database, calls: Calls) -> None:
    await Budgets(database, clock=lambda: AT).set(Budget(period=Period.DAY, limit_usd=1.0))
    await calls.reserve(Entry(id="c1"))
    await Calls(database, owner=GONE, alive=lambda owner: False).settle_crashed()
    assert [row["state"] for row in await calls.all()] == ["crashed"]
    for cost in (0.0025, 0.005):
        await calls.settle(settled(Entry(id="c1"), cost=cost))
    assert [(row["state"], row["charged_usd"]) for row in await calls.all()] == [("settled", 0.0025)]
    assert await discrepancies(database) == []


async def test_the_supervisor_goes_on_while_the_database_cannot_be_read(
    database: Database, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    done = asyncio.Event()

    async def settle_crashed() -> int:
        asked.append(1)
        if len(asked) == 1:
            raise StorageError("gone", code=ErrorCode.UNREACHABLE)
        done.set()
        return 0

    monkeypatch.setattr(calls, "settle_crashed", settle_crashed)
    monkeypatch.setattr("intelforge.store.calls.SUPERVISION_SECONDS", 0.0)
    async with asyncio.timeout(20), calls.supervised():
        await done.wait()


async def test_the_supervisor_writes_what_could_not_be_written(database: Database, calls: Calls, disk: Disk) -> None:
    await calls.reserve(Entry(id="c1"))
    disk.fill()
    await calls.settle(settled(Entry(id="c1")))
    await calls.flush()
    disk.error = None
    disk.written.clear()
    async with asyncio.timeout(20), calls.supervised():
        await disk.written.wait()
    async with database.read() as connection:
        assert (await connection.execute(select(CallRow.state))).scalars().all() == ["settled"]


async def made(calls: Calls, *entries: Entry) -> None:
    """Reserved, and settled unless they are under way."""
    for entry in entries:
        await calls.reserve(replace(entry, state="reserved", cost_usd=None))
        if entry.state != "reserved":
            await calls.settle(entry)
    await calls.flush()


async def test_finished_calls_are_forgotten_when_they_are_old_a_few_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intelforge.store.calls.FORGOTTEN_AT_ONCE", 3)
    keep = timedelta(days=400)
    calls = Calls(database, owner=HERE, keep=keep, clock=lambda: AT)
    budgets = Budgets(database, clock=lambda: AT)
    await budgets.set(Budget(period=Period.TOTAL, limit_usd=1.0))
    old = [settled(Entry(id=f"old{number}", at=AT - keep - timedelta(seconds=number + 1))) for number in range(5)]
    await made(calls, *old, settled(Entry(id="new", at=AT - keep)), Entry(id="open", at=AT - 2 * keep))
    before = await budgets.statuses()
    assert [await calls.forget_old() for _ in range(3)] == [3, 2, 0]
    assert [row["id"] for row in await calls.all()] == ["open", "new"]
    assert await budgets.statuses() == before
    assert before[0].standings[0].spent_usd == 6 * 0.0025
    await calls.settle(settled(Entry(id="open")))
    await calls.flush()
    assert (await budgets.statuses())[0].standings[0].spent_usd == 7 * 0.0025
    assert await Calls(database).forget_old() == 0
    await calls.close()


async def test_the_oldest_are_forgotten_first_and_once_by_two_at_the_same_time(database: Database) -> None:
    first, second = (Calls(database, owner=HERE, keep=timedelta(days=400), clock=lambda: AT) for _ in range(2))
    years = [settled(Entry(id=f"c{number}", at=AT - timedelta(days=365 * number))) for number in range(6)]
    await made(first, *years)
    assert sum(await asyncio.gather(first.forget_old(), second.forget_old())) == 4
    assert [row["id"] for row in await first.all()] == ["c1", "c0"]
    await first.close()
    await second.close()


async def test_the_supervisor_forgets_until_nothing_old_is_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intelforge.store.calls.FORGOTTEN_AT_ONCE", 2)
    monkeypatch.setattr("intelforge.store.calls.SUPERVISION_SECONDS", 0.0)
    calls = Calls(database, owner=HERE, keep=timedelta(days=400), clock=lambda: AT)
    await made(calls, *(settled(Entry(id=f"c{number}", at=AT - timedelta(days=401))) for number in range(5)))
    done, forget_old = asyncio.Event(), calls.forget_old

    async def forgotten() -> int:
        number = await forget_old()
        if not number:
            done.set()
        return number

    monkeypatch.setattr(calls, "forget_old", forgotten)
    async with asyncio.timeout(20), calls.supervised():
        await done.wait()
    assert await calls.all() == []
    await calls.close()


@pytest.mark.usefixtures("database")
async def test_writing_ends_although_everything_is_being_cancelled(migrated_url: str, tmp_path: Path) -> None:
    """As when Ctrl-C ends the event loop."""

    async def main() -> None:
        database = await open_database(migrated_url, root=tmp_path)
        calls = Calls(database, owner=HERE)
        await asyncio.gather(*(calls.reserve(Entry(id=f"c{number}")) for number in range(20)))

        async def settle(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await calls.settle(settled(Entry(id=f"c{number}")))

        tasks = [asyncio.create_task(settle(number)) for number in range(20)]
        writing = asyncio.create_task(calls.reserve(Entry(id="last")))
        await asyncio.sleep(0)
        for task in (*tasks, writing, *([calls._writer] if calls._writer else [])):
            task.cancel()
        await asyncio.gather(*tasks, writing, return_exceptions=True)
        await calls.close()
        await database.close()

    await main()
    again = await open_database(migrated_url, root=tmp_path)
    states = {row["id"]: row["state"] for row in await Calls(again).all()}
    await again.close()
    assert states == {**{f"c{number}": "settled" for number in range(20)}, "last": "failed"}

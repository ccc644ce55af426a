"""The ledger's rows in the database of record: calls that come at the same time are entered in one transaction."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, select

from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import BudgetError, ErrorCode, IntelForgeError, StorageError
from intelforge.core.money import usd_of
from intelforge.store.database import Database
from intelforge.store.entries import Call, Closing, Entry, Opening, Outcome, Whole
from intelforge.store.leases import Alive, process_alive
from intelforge.store.reservations import Book
from intelforge.store.tables import CallRow

MOST_AT_ONCE: Final = 256
"""entries in one transaction"""
LATER: Final = 0.05
"""seconds that an entry nobody waits for may wait for others"""
PATIENCE: Final = 10.0
"""seconds within which a transaction that another one was in the way of is tried again"""
MOST_KEPT: Final = 10_000
"""entries kept for later while the database cannot be written, beyond which only what calls took is"""
MOST_TRIES: Final = 3
"""to close a call, where nobody knows why that fails"""
ABANDONED: Final = timedelta(hours=1)
"""after which a call of another machine, whose processes cannot be seen from here, is taken for crashed"""
SUPERVISION_SECONDS: Final = 3.0
FORGOTTEN_AT_ONCE: Final = 500


class Calls:
    """Keeps every model call: reserved before it is made, settled after. Close it before the database."""

    def __init__(
        self,
        database: Database,
        *,
        owner: str = "",
        keep: timedelta | None = None,
        clock: Clock = utc_now,
        alive: Alive = process_alive,
    ) -> None:
        """`keep` is for how long finished calls stay on record while calls are supervised; None for ever."""
        self._database = database
        self._keep = keep
        self._owner = owner
        self._clock = clock
        self._alive = alive
        self._book = Book(database.insert)
        self._waiting: deque[tuple[Entry, asyncio.Future[Outcome]]] = deque()
        self._later: deque[Entry] = deque()
        """could not be written, and goes with the next transaction"""
        self._urgent = 0
        """entries among those that wait that someone waits for"""
        self._near: set[str] = set()
        """calls whose end may bring a budget to a threshold"""
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None

    async def reserve(self, call: Call) -> Sequence[str]:
        """Enters a call before it is made, on disk on return. Raises BudgetError when a hard budget has no room.

        A local call costs nothing, and is entered when it is settled.
        """
        if call.local:
            return ()
        entered = self._enter(Opening.of(call, owner=self._owner), soon=True)
        try:
            outcome = await asyncio.shield(entered)
        except asyncio.CancelledError:
            entered.add_done_callback(lambda done: self._give_back(call.id, done))
            raise
        if isinstance(outcome, BudgetError):
            raise outcome
        if outcome.near:
            self._near.add(call.id)
        return outcome.notes

    async def settle(self, call: Call) -> Sequence[str]:
        """Enters what a call took: with the next reservation, or a moment later. Until then its reservation stands.

        Waits for that only where a budget may have something to tell. What cannot be written is kept, and written with
        what comes next.
        """
        if call.local:
            self._enter(Whole.of(call, owner=self._owner))
            return ()
        near = call.id in self._near
        self._near.discard(call.id)
        entered = self._enter(Closing.of(call, at=self._clock()), soon=near)
        if not near:
            return ()
        try:
            outcome = await asyncio.shield(entered)
        except IntelForgeError as error:
            return (f"what the call took is not on record yet ({error.message})",)
        return () if isinstance(outcome, BudgetError) else outcome.notes

    async def settle_crashed(self) -> int:
        """Charges calls whose process died with their reservation, each once, whoever else does so; gives how many."""
        at = self._clock()
        crashed = [Closing.of_crashed(each, at=at) for each in await self._crashed()]
        await asyncio.gather(*(self._enter(closing, soon=True) for closing in crashed))
        return len(crashed)

    async def forget_old(self) -> int:
        """Removes some finished calls that are older than what is kept; gives how many.

        What budgets have counted of them stays counted.
        """
        if self._keep is None:
            return 0
        finished = CallRow.state != "reserved"
        old = select(CallRow.id).where(CallRow.at < self._clock() - self._keep, finished).order_by(CallRow.at)
        async with self._database.read() as connection:
            ids = (await connection.scalars(old.limit(FORGOTTEN_AT_ONCE))).all()
        if not ids:
            return 0
        async with self._database.write() as connection:
            return (await connection.execute(delete(CallRow).where(CallRow.id.in_(ids), finished))).rowcount

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Settles crashed calls, writes what could not be written and forgets old calls, again and again."""
        supervision = asyncio.create_task(self._supervise(), name="supervision of calls")
        try:
            yield
        finally:
            supervision.cancel()
            await asyncio.gather(supervision, return_exceptions=True)

    async def flush(self) -> None:
        """Returns when all that was entered so far is written, or cannot be."""
        if self._later:
            self._start()
        while self._waiting or not (self._writer is None or self._writer.done()):
            self._urgent += len(self._waiting)
            self._start()
            if self._writer:
                await asyncio.wait([self._writer])

    async def close(self) -> None:
        """Writes what is not written yet."""
        await self.flush()
        if self._timer:
            self._timer.cancel()

    async def all(self) -> list[Mapping[str, Any]]:
        """Every call as a mapping of its columns, with money in US dollars too; oldest first."""
        await self.flush()
        async with self._database.read() as connection:
            rows = await connection.execute(select(CallRow).order_by(CallRow.at, CallRow.id))
            return [
                {
                    **row._asdict(),
                    "reserved_usd": usd_of(row.reserved_nano),
                    "cost_usd": None if row.cost_nano is None else usd_of(row.cost_nano),
                    "charged_usd": usd_of(row.charged_nano),
                }
                for row in rows
            ]

    def _enter(self, entry: Entry, *, soon: bool = False) -> "asyncio.Future[Outcome]":
        loop = asyncio.get_running_loop()
        entered: asyncio.Future[Outcome] = loop.create_future()
        entered.add_done_callback(_seen)
        self._waiting.append((entry, entered))
        self._urgent += soon
        if soon:
            self._start()
        else:
            self._start_later()
        return entered

    def _start_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LATER, self._start)

    def _start(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="writer of calls")

    async def _write(self) -> None:
        """Writes all that waits; what comes meanwhile is the next batch, if someone waits for it."""
        while True:
            late = [self._later.popleft() for _ in range(min(len(self._later), MOST_AT_ONCE))]
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
            self._urgent = self._urgent if self._waiting else 0
            entries = [*late, *(entry for entry, _ in batch)]
            outcomes = await self._commit(entries) if entries else []
            for (_, entered), outcome in zip(batch, outcomes[len(late) :], strict=True):
                if isinstance(outcome, IntelForgeError) and not isinstance(outcome, BudgetError):
                    entered.set_exception(outcome)
                else:
                    entered.set_result(outcome)
            failing = self._keep_for_later(entries, outcomes)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)  # who gave up waiting gives back what they were let through with
            if not self._urgent and (failing or not self._later):
                if self._waiting:
                    self._start_later()
                return

    def _keep_for_later(self, entries: Sequence[Entry], outcomes: Sequence[Outcome | IntelForgeError]) -> bool:
        """Keeps what failed; False when nothing did. What calls took is kept whatever comes: all were reserved for."""
        failed = False
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, StorageError) and (again := _again(entry, outcome)):
                failed = True
                if isinstance(entry, Closing) or len(self._later) < MOST_KEPT:
                    self._later.append(again)
        return failed

    async def _commit(self, entries: Sequence[Entry]) -> Sequence[Outcome | IntelForgeError]:
        """The outcome of each; an error that one of them makes is its own."""
        try:
            return await self._tried(entries)
        except Exception as error:  # noqa: BLE001  those who wait for it would wait for ever
            known = error if isinstance(error, IntelForgeError) else StorageError(str(error), code=ErrorCode.INTERNAL)
            if len(entries) == 1 or known.error_code is not ErrorCode.INTERNAL:
                return [known] * len(entries)
        return [outcome for entry in entries for outcome in await self._commit([entry])]

    async def _tried(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                return await self._database.transact(lambda connection: self._book.commit(connection, entries))
            except asyncio.CancelledError:  # of the waiting for its turn: others wait for what is written here
                continue
            except StorageError as error:
                if error.error_code is not ErrorCode.BUSY or loop.time() - began > PATIENCE:
                    raise

    def _give_back(self, call_id: str, entered: "asyncio.Future[Outcome]") -> None:
        """Closes a call that was let through when nobody waited for it any more: it was never made."""
        if not entered.exception() and not isinstance(entered.result(), BudgetError):
            self._enter(Closing.of_never_made(call_id, at=self._clock()), soon=True)

    async def _crashed(self) -> Sequence[str]:
        long_ago = self._clock() - ABANDONED
        reserved = select(CallRow.id, CallRow.owner, CallRow.at).where(CallRow.state == "reserved")
        async with self._database.read() as connection:
            rows = (await connection.execute(reserved)).all()
        lives = {owner: self._lives(owner) for owner in {row.owner for row in rows}}
        return [row.id for row in rows if lives[row.owner] is False or (lives[row.owner] is None and row.at < long_ago)]

    def _lives(self, owner: str) -> bool | None:
        if owner == self._owner:
            return True
        return self._alive(owner) if owner.count(":") >= 3 else None

    async def _supervise(self) -> None:
        while True:
            if self._later:
                self._start()
            with suppress(StorageError):  # whoever works meets the same error
                await self.settle_crashed()
                await self.forget_old()
            await asyncio.sleep(SUPERVISION_SECONDS)


def _again(entry: Entry, failure: StorageError) -> Entry | None:
    """What is to be written later instead of an entry that failed; None when that would not help.

    A reservation may have come through all the same. That a call crashed is seen anew by whoever looks next.
    """
    if isinstance(entry, Closing) and entry.crashed:
        return None
    if failure.error_code is not ErrorCode.INTERNAL:
        return Closing.of_never_made(entry.row["id"], at=entry.row["at"]) if isinstance(entry, Opening) else entry
    if isinstance(entry, Closing) and entry.tries < MOST_TRIES:
        return replace(entry, tries=entry.tries + 1)
    return None


def _seen(entered: "asyncio.Future[Outcome]") -> None:
    """Whoever was cancelled while waiting for an entry does not look at its error."""
    entered.exception()

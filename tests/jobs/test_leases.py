import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intelforge.core.errors import StorageError
from intelforge.jobs import leases as module
from intelforge.jobs.leases import LeaseHolder, NotHeldError
from intelforge.store.database import Database, open_database
from intelforge.store.leases import Leases

DEADLINE = 20


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database("sqlite:///test.db", root=tmp_path)
    yield opened
    await opened.close()


def leases(database: Database, owner: str) -> Leases:
    return Leases(database, owner=owner, alive=lambda owner: None)


async def test_one_holder_in_a_process_at_a_time(database: Database) -> None:
    inside = most = 0

    async def work(holder: LeaseHolder) -> None:
        nonlocal inside, most
        async with holder.hold("index"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async with LeaseHolder(leases(database, "ann")) as holder:
        await asyncio.gather(*(work(holder) for _ in range(10)))
    assert most == 1


async def test_who_waits_for_another_process_is_told_and_goes_on_when_it_is_free(database: Database) -> None:
    ann = leases(database, "ann")
    await ann.acquire("index")
    waiting = asyncio.Event()

    async def work(holder: LeaseHolder) -> str:
        async with holder.hold("index", detail="indexing", waiting=waiting.set):
            return next(lease.owner for lease in await ann.held())

    async with LeaseHolder(leases(database, "bob")) as holder, asyncio.timeout(DEADLINE):
        task = asyncio.create_task(work(holder))
        await waiting.wait()
        await ann.release("index")
        assert await task == "bob"
    assert await ann.held() == []


async def test_who_waits_may_give_up(database: Database) -> None:
    await leases(database, "ann").acquire("index")
    async with LeaseHolder(leases(database, "bob")) as holder, asyncio.timeout(DEADLINE):
        with pytest.raises(NotHeldError):
            async with holder.hold("index", stopped=lambda: True):
                pytest.fail("the lease is another's")


async def test_a_block_that_raises_gives_the_lease_back(database: Database) -> None:
    async def fail(holder: LeaseHolder) -> None:
        async with holder.hold("index"):
            raise RuntimeError("stop")

    async with LeaseHolder(leases(database, "ann")) as holder:
        with pytest.raises(RuntimeError, match="stop"):
            await fail(holder)
        assert await leases(database, "bob").acquire("index")


async def test_a_cancelled_block_gives_the_lease_back(database: Database) -> None:
    inside = asyncio.Event()

    async def work(holder: LeaseHolder) -> None:
        async with holder.hold("index"):
            inside.set()
            await asyncio.Event().wait()

    async with LeaseHolder(leases(database, "ann")) as holder, asyncio.timeout(DEADLINE):
        task = asyncio.create_task(work(holder))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await leases(database, "bob").acquire("index")


class Renewals(Leases):
    """Leases that tell of their renewals, the first of which fails."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, owner="ann", alive=lambda owner: None)
        self.renewed: asyncio.Queue[int] = asyncio.Queue()
        self._times = 0

    async def renew(self) -> None:
        self._times += 1
        if self._times == 1:
            raise StorageError("the database is busy")
        await super().renew()
        self.renewed.put_nowait(self._times)


async def test_renewal_goes_on_after_a_failure(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.01)
    renewals = Renewals(database)
    async with LeaseHolder(renewals), asyncio.timeout(DEADLINE):
        assert [await renewals.renewed.get(), await renewals.renewed.get()] == [2, 3]

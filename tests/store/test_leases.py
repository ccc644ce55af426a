import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from intelforge.store.database import Database
from intelforge.store.leases import SECONDS, Leases, process_alive, process_name


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def dead() -> set[str]:
    """The owners known to be dead; of others nothing is known."""
    return set()


@pytest.fixture
def ann(database: Database, time: Time, dead: set[str]) -> Leases:
    return Leases(database, owner="ann", clock=time, alive=lambda owner: False if owner in dead else None)


@pytest.fixture
def bob(database: Database, time: Time, dead: set[str]) -> Leases:
    return Leases(database, owner="bob", clock=time, alive=lambda owner: False if owner in dead else None)


async def test_one_owner_holds_a_lease(ann: Leases, bob: Leases) -> None:
    assert await ann.acquire("index", detail="indexing")
    assert not await bob.acquire("index")
    assert [(lease.owner, lease.detail) for lease in await bob.held()] == [("ann", "indexing")]


async def test_the_holder_may_take_it_again(ann: Leases) -> None:
    assert await ann.acquire("index")
    assert await ann.acquire("index")


async def test_a_released_lease_is_free_at_once_and_only_its_holder_releases_it(ann: Leases, bob: Leases) -> None:
    await ann.acquire("index")
    await bob.release("index")
    assert not await bob.acquire("index")
    await ann.release("index")
    assert await bob.acquire("index")


async def test_a_lease_not_renewed_in_time_is_free(ann: Leases, bob: Leases, time: Time) -> None:
    await ann.acquire("index")
    time.pass_seconds(SECONDS - 0.1)
    assert not await bob.acquire("index")
    time.pass_seconds(0.2)
    assert await bob.acquire("index")
    assert not await ann.acquire("index")


async def test_renewal_keeps_all_leases_of_the_owner_and_no_others(ann: Leases, bob: Leases, time: Time) -> None:
    await ann.acquire("one")
    await ann.acquire("two")
    await bob.acquire("three")
    time.pass_seconds(SECONDS - 1)
    await ann.renew()
    time.pass_seconds(2)
    assert [lease.name for lease in await ann.held()] == ["one", "two"]
    assert [lease.name for lease in await ann.expired()] == ["three"]


async def test_a_dead_owners_lease_is_free_at_once(ann: Leases, bob: Leases, dead: set[str]) -> None:
    await ann.acquire("executor:ann")
    await ann.acquire("index")
    dead.add("ann")
    assert [lease.name for lease in await bob.expired(prefix="executor:")] == ["executor:ann"]
    assert await bob.acquire("index")


async def test_only_one_process_takes_up_a_dead_owners_work(ann: Leases, bob: Leases, dead: set[str]) -> None:
    await ann.acquire("executor:ann")
    dead.add("ann")
    [lease] = await bob.expired()
    assert await bob.forget(lease)
    assert not await bob.forget(lease)


async def test_of_many_who_want_a_lease_at_once_one_gets_it(database: Database, time: Time) -> None:
    owners = [Leases(database, owner=f"o{n}", clock=time, alive=lambda owner: None) for n in range(8)]
    assert sum(await asyncio.gather(*(owner.acquire("index") for owner in owners))) == 1
    time.pass_seconds(SECONDS + 1)
    assert sum(await asyncio.gather(*(owner.acquire("index") for owner in owners))) == 1


def test_this_process_is_alive_and_each_name_is_its_own() -> None:
    name = process_name()
    assert process_alive(name) is True
    assert name != process_name()


def test_a_process_that_ended_is_dead_also_when_nobody_has_waited_for_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    machine = process_name().split(":")[0]
    name = f"{machine}:{child.pid}:{int(psutil.Process(child.pid).create_time())}:nonce"
    assert process_alive(name) is True
    assert child.stdin
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_alive(name) is False
    child.stdin.close()
    child.wait()
    assert process_alive(name) is False


def test_another_process_under_the_same_number_is_not_the_owner() -> None:
    host, pid, started, nonce = process_name().rsplit(":", 3)
    assert process_alive(f"{host}:{pid}:{int(started) - 100}:{nonce}") is False


def test_nothing_is_known_of_other_machines() -> None:
    assert process_alive("elsewhere.example:1:1:nonce") is None


def test_nothing_is_known_of_a_process_that_may_not_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(process: psutil.Process) -> float:
        raise psutil.AccessDenied(process.pid)

    name = process_name()
    monkeypatch.setattr(psutil.Process, "create_time", denied)
    assert process_alive(name) is None

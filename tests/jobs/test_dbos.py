import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from intelforge.core.errors import ErrorCode, StorageError
from intelforge.jobs.dbos import DbosEngine, JsonSerializer, open_engine
from intelforge.jobs.protocol import Payload

DEADLINE = 60

WORKER = """
import asyncio, sys
from intelforge.core.errors import ErrorCode, StorageError
from intelforge.jobs.dbos import open_engine

async def first(payload):
    print("first", flush=True)
    return {**payload, "first": "done"}

async def second(payload):
    print("second", flush=True)
    await asyncio.Event().wait()

async def main():
    engine = open_engine("dbos:", database_url=sys.argv[1])
    await engine.start({"kind": [first, second]}, executor="dead", concurrency=1)
    await engine.submit("kind", "a/running", {"n": 1})
    await engine.submit("kind", "a/waiting", {"n": 2})
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def jobs_url(database_url: str) -> str:
    return database_url


async def finished(engine: DbosEngine, prefix: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while await engine.unfinished(prefix):  # noqa: ASYNC110 - the contract has no other way to know
            await asyncio.sleep(0.02)


async def test_what_was_waiting_is_run_by_the_next_engine(jobs_url: str) -> None:
    began, release = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def step(payload: Payload) -> Payload:
        began.set()
        await release.wait()
        done.append(payload["n"])
        return {}

    first = open_engine("dbos:", database_url=jobs_url)
    await first.start({"kind": [step]}, executor="e1", concurrency=1)
    for number in range(3):
        await first.submit("kind", f"a/{number}", {"n": number})
    await began.wait()
    closing = asyncio.create_task(first.close())
    await asyncio.sleep(0)
    release.set()
    await closing
    second = open_engine("dbos:", database_url=jobs_url)
    await second.start({"kind": [step]}, executor="e2", concurrency=1)
    await finished(second, "a/")
    await second.close()
    assert sorted(done) == [0, 1, 2]


async def test_a_killed_processes_jobs_are_taken_up_where_they_stopped(jobs_url: str) -> None:
    """The finished step is not run again, the unfinished one gets what it returned."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, jobs_url], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert [process.stdout.readline(), process.stdout.readline()] == ["first\n", "second\n"]
    process.kill()
    process.wait()
    process.stdout.close()
    runs: list[tuple[str, Payload]] = []

    async def first(payload: Payload) -> Payload:
        runs.append(("first", payload))
        return {**payload, "first": "done"}

    async def second(payload: Payload) -> Payload:
        runs.append(("second", payload))
        return {}

    engine = open_engine("dbos:", database_url=jobs_url)
    await engine.start({"kind": [first, second]}, executor="e2", concurrency=1)
    assert "a/running" in await engine.unfinished("a/")
    await engine.recover({"e2", "dead"})
    assert "a/running" in await engine.unfinished("a/")
    await engine.recover({"e2"})
    await engine.recover({"e2"})
    await finished(engine, "a/")
    await engine.close()
    assert sorted(runs, key=str) == sorted(
        [
            ("second", {"n": 1, "first": "done"}),
            ("first", {"n": 2}),
            ("second", {"n": 2, "first": "done"}),
        ],
        key=str,
    )


async def test_jobs_of_another_version_are_dropped_once_no_other_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def step(payload: Payload) -> Payload:
        began.set()
        await release.wait()
        return {}

    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    old = open_engine("dbos:", database_url=url)
    await old.start({"kind": [step]}, executor="e1", concurrency=1)
    await old.submit("kind", "a/running", {})
    await began.wait()
    await old.submit("kind", "a/waiting", {})
    closing_old = asyncio.create_task(old.close())
    release.set()
    await closing_old
    monkeypatch.setattr("intelforge.jobs.dbos.APPLICATION_VERSION", "2")
    new = open_engine("dbos:", database_url=url)
    await new.start({"kind": [step]}, executor="e2", concurrency=1)
    left = await new.unfinished("a/")
    await new.recover({"e1", "e2"})
    kept = await new.unfinished("a/")
    await new.recover({"e2"})
    dropped = await new.unfinished("a/")
    await new.close()
    assert "a/waiting" in left
    assert (kept, dropped) == (left, [])


async def test_a_second_engine_in_one_process_waits_for_the_first(tmp_path: Path) -> None:
    engines = [open_engine("dbos:", database_url=f"sqlite:///{tmp_path / f'{n}.db'}") for n in range(2)]
    order: list[str] = []

    def step_of(number: int) -> object:
        async def step(payload: Payload) -> Payload:
            order.append(f"job {number}")
            return {}

        return step

    async def use(number: int) -> None:
        engine = engines[number]
        await engine.start({"kind": [step_of(number)]}, executor=f"e{number}", concurrency=1)  # type: ignore[list-item]
        order.append(f"start {number}")
        await engine.submit("kind", "a/1", {})
        await finished(engine, "a/")
        order.append(f"end {number}")
        await engine.close()

    await asyncio.gather(use(0), use(1))
    first, second = (0, 1) if order[0] == "start 0" else (1, 0)
    assert order == [f"{what} {number}" for number in (first, second) for what in ("start", "job", "end")]


async def test_a_start_that_fails_lets_the_next_one_begin(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    broken = open_engine("dbos:", database_url=f"sqlite:///{tmp_path / 'file' / 'jobs.db'}")
    with pytest.raises(StorageError, match="cannot be created"):
        await broken.start({}, executor="e1", concurrency=1)
    engine = open_engine("dbos:", database_url=f"sqlite:///{tmp_path / 'jobs.db'}")
    await engine.start({}, executor="e1", concurrency=1)
    await engine.close()


def test_job_state_is_json_and_nothing_else() -> None:
    serializer = JsonSerializer()
    assert json.loads(serializer.serialize({"a": [1, None, "ß"]})) == {"a": [1, None, "ß"]}
    assert serializer.deserialize('{"a": 1}') == {"a": 1}


def test_jobs_may_be_kept_in_a_database_of_their_own(tmp_path: Path) -> None:
    assert open_engine("dbos:", database_url="sqlite:///x.db")._database_url == "sqlite:///x.db"
    assert open_engine("dbos:postgresql://h/d", database_url="sqlite:///x.db")._database_url == "postgresql://h/d"


async def test_what_the_database_raises_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"this is no database" * 100)
    engine = open_engine("dbos:", database_url=f"sqlite:///{tmp_path / 'jobs.db'}")
    with pytest.raises(StorageError, match=r"jobs\.db.*not a database") as raised:
        await engine.start({}, executor="e1", concurrency=1)
    assert raised.value.error_code is ErrorCode.DAMAGED
    assert raised.value.hint.startswith("delete that file and run: intelforge sync")


async def test_a_job_whose_end_could_not_be_noted_runs_again(tmp_path: Path) -> None:
    runs: list[Payload] = []

    async def step(payload: Payload) -> Payload:
        runs.append(payload)
        return {}

    engine = open_engine("dbos:", database_url=f"sqlite:///{tmp_path / 'jobs.db'}")
    await engine.start({"kind": [step]}, executor="e1", concurrency=1)
    await engine.submit("kind", "a/1", {"n": 1})
    await finished(engine, "a/")
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, connection:
        connection.execute("UPDATE workflow_status SET status = 'PENDING', output = NULL")
        connection.execute("DELETE FROM operation_outputs")
    await engine.recover({"e1"})
    assert await engine.unfinished("a/") == ["a/1"]
    await engine.recover({"e1"})
    await finished(engine, "a/")
    await engine.close()
    assert runs == [{"n": 1}, {"n": 1}]


async def test_a_database_that_goes_away_is_an_error_and_not_a_wait(postgres: str, postgres_url: str) -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def step(payload: Payload) -> Payload:
        began.set()
        await release.wait()
        return {}

    engine = open_engine("dbos:", database_url=postgres_url)
    async with asyncio.timeout(DEADLINE):
        await engine.start({"kind": [step]}, executor="e1", concurrency=1)
        await engine.submit("kind", "a/1", {})
        await began.wait()
        name = urlsplit(postgres_url).path.removeprefix("/")
        await asyncio.to_thread(drop, postgres, name)
        release.set()
        with pytest.raises(StorageError, match="the database postgresql://"):
            await engine.unfinished("a/")
        await engine.close()


def drop(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

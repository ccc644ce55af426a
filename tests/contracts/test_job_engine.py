"""What every job engine must do; a backend is held to it by one line in `ENGINES`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from intelforge.core.registry import load_backend
from intelforge.jobs.protocol import JobEngine, Payload, Step

ENGINES = ["memory:", "dbos: on sqlite", "dbos: on postgresql"]
DEADLINE = 60

Started = Callable[..., Awaitable[JobEngine]]


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], JobEngine]:
    """Makes engines over one and the same database."""
    url, _, database = request.param.partition(" on ")
    database_url = f"sqlite:///{tmp_path / 'jobs.db'}"
    if database == "postgresql":
        database_url = request.getfixturevalue("postgres_url")
    return lambda: load_backend("job_engines", url)(url, database_url=database_url)


@asynccontextmanager
async def running(engine: JobEngine, *steps: Step, concurrency: int = 2) -> AsyncIterator[JobEngine]:
    async with AsyncExitStack() as stack:
        await engine.start({"kind": steps}, executor="e1", concurrency=concurrency)
        stack.push_async_callback(engine.close)
        yield engine


async def finished(engine: JobEngine, prefix: str = "") -> None:
    async with asyncio.timeout(DEADLINE):
        while await engine.unfinished(prefix):  # noqa: ASYNC110 - the contract has no other way to know
            await asyncio.sleep(0.02)


async def test_steps_run_in_order_and_pass_on_what_they_return(make: Callable[[], JobEngine]) -> None:
    seen: list[Payload] = []

    async def first(payload: Payload) -> Payload:
        return {"items": [*payload["items"], {"x": None, "ß": 1.5}], "more": True}

    async def second(payload: Payload) -> Payload:
        seen.append(payload)
        return {}

    async with running(make(), first, second) as engine:
        await engine.submit("kind", "a/1", {"items": [1]})
        await finished(engine)
        assert seen == [{"items": [1, {"x": None, "ß": 1.5}], "more": True}]
        assert await engine.settle("a/") == {}


async def test_an_id_submitted_twice_runs_once(make: Callable[[], JobEngine]) -> None:
    runs: list[Payload] = []

    async def step(payload: Payload) -> Payload:
        runs.append(payload)
        return {}

    async with running(make(), step) as engine:
        await engine.submit("kind", "a/1", {"n": 1})
        await engine.submit("kind", "a/1", {"n": 2})
        await finished(engine)
        await engine.submit("kind", "a/1", {"n": 3})
        await finished(engine)
    assert runs == [{"n": 1}]


async def test_a_failed_job_ends_with_its_reason_and_others_go_on(make: Callable[[], JobEngine]) -> None:
    runs: list[int] = []

    async def step(payload: Payload) -> Payload:
        if payload["n"] == 1:
            raise ValueError("bad batch")
        runs.append(payload["n"])
        return {}

    async with running(make(), step) as engine:
        for number in range(3):
            await engine.submit("kind", f"a/{number}", {"n": number})
        await finished(engine)
        assert sorted(runs) == [0, 2]
        assert await engine.settle("b/") == {}
        failures = await engine.settle("a/")
        assert list(failures) == ["a/1"]
        assert "bad batch" in failures["a/1"]
        assert await engine.settle("a/") == {}


async def test_prefixes_are_taken_letter_by_letter(make: Callable[[], JobEngine]) -> None:
    release = asyncio.Event()

    async def step(payload: Payload) -> Payload:
        await release.wait()
        return {}

    async with running(make(), step) as engine:
        await engine.submit("kind", "a_b/1", {})
        await engine.submit("kind", "axb/1", {})
        assert await engine.unfinished("a_b/") == ["a_b/1"]
        assert await engine.unfinished("%") == []
        release.set()
        await finished(engine)


async def test_no_more_jobs_run_at_once_than_asked(make: Callable[[], JobEngine]) -> None:
    inside = most = 0
    release = asyncio.Event()

    async def step(payload: Payload) -> Payload:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 2:
            release.set()
        await release.wait()
        await asyncio.sleep(0)
        inside -= 1
        return {}

    async with running(make(), step, concurrency=2) as engine:
        for number in range(6):
            await engine.submit("kind", f"a/{number}", {})
        await finished(engine)
    assert most == 2


async def test_settling_keeps_what_has_not_ended(make: Callable[[], JobEngine]) -> None:
    release = asyncio.Event()

    async def step(payload: Payload) -> Payload:
        await release.wait()
        return {}

    async with running(make(), step) as engine:
        await engine.submit("kind", "a/1", {})
        await engine.recover({"e1"})
        assert await engine.settle("a/") == {}
        assert await engine.unfinished("a/") == ["a/1"]
        release.set()
        await finished(engine)


async def test_closing_lets_running_jobs_finish_and_begins_no_more(make: Callable[[], JobEngine]) -> None:
    began, release = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def step(payload: Payload) -> Payload:
        began.set()
        await release.wait()
        done.append(payload["n"])
        return {}

    engine = make()
    await engine.start({"kind": [step]}, executor="e1", concurrency=1)
    for number in range(3):
        await engine.submit("kind", f"a/{number}", {"n": number})
    async with asyncio.timeout(DEADLINE):
        await began.wait()
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0)
        release.set()
        await closing
    assert len(done) == 1


async def test_closing_twice_or_before_the_start_does_no_harm(make: Callable[[], JobEngine]) -> None:
    await make().close()
    engine = make()
    async with running(engine):
        await engine.close()

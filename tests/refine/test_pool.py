import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from intelforge.core.errors import ErrorCode, IntelForgeError, ItemError
from intelforge.core.values import Document, Item
from intelforge.refine.pool import Refinery

GOOD = Item(uri="good.md", data=b"# Title\n\nSome words.\n")


@pytest.fixture
async def refinery() -> AsyncIterator[Refinery]:
    async with Refinery(workers=2, seconds=30, memory_mb=512, tokenizer=None, chunk_tokens=100) as opened:
        yield opened


async def test_a_document_comes_back_whole(refinery: Refinery) -> None:
    document = await refinery.refine(GOOD)
    assert (document.title, document.media_type) == ("Title", "text/markdown")
    assert [document.text[chunk.start : chunk.end] for chunk in document.chunks] == ["# Title\n\nSome words."]
    assert [chunk.text for chunk in document.chunks] == ["# Title\n\nSome words."]


async def test_outcomes_are_in_the_order_of_the_items(refinery: Refinery) -> None:
    items = [Item(uri=f"{n}.txt", data=b"" if n % 7 == 3 else f"text {n}".encode()) for n in range(50)]
    outcomes = await refinery.refine_many(items)
    for n, outcome in enumerate(outcomes):
        if n % 7 == 3:
            assert isinstance(outcome, ItemError)
            assert outcome.error_code is ErrorCode.UNSUPPORTED
            assert f"{n}.txt" in str(outcome)
        else:
            assert isinstance(outcome, Document)
            assert outcome.text == f"text {n}"


LARGE = Item(uri="large.txt", data=b"Some words to count, again and again. " * 500_000)
SLOW = Item(uri="slow.txt", data=b"Some words to count, again and again. " * 30_000)


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "intelforge.refine.worker" in child.cmdline()]


@asynccontextmanager
async def opened(*, seconds: float = 60, memory_mb: int = 512, count: int = 1) -> AsyncIterator[Refinery]:
    async with Refinery(
        workers=count, seconds=seconds, memory_mb=memory_mb, tokenizer=None, chunk_tokens=100
    ) as refinery:
        yield refinery


async def test_workers_start_when_needed_and_end_with_the_pool() -> None:
    async with opened(count=2) as refinery:
        assert not workers()
        await refinery.refine(GOOD)
        started = workers()
        assert len(started) == 1
    assert not any(worker.is_running() for worker in started)


async def test_an_item_that_takes_too_long_fails_alone() -> None:
    async with opened(seconds=0.3) as refinery:
        await refinery.refine(GOOD)
        late, good = await refinery.refine_many([LARGE, GOOD])
    assert isinstance(late, ItemError)
    assert late.error_code is ErrorCode.TIMED_OUT
    assert str(late).startswith("large.txt: extracting its text takes longer than 0.3 s")
    assert isinstance(good, Document)


async def test_an_item_that_takes_too_much_memory_fails_alone() -> None:
    async with opened(memory_mb=160) as refinery:
        greedy, good = await refinery.refine_many([Item(uri="x.txt", data=b"word " * 20_000_000), GOOD])
    assert isinstance(greedy, ItemError)
    assert greedy.error_code is ErrorCode.OUT_OF_MEMORY
    assert isinstance(good, Document)


async def test_an_item_whose_worker_is_killed_fails_alone() -> None:
    async with opened(count=2) as refinery:
        await refinery.refine(GOOD)
        slow = asyncio.ensure_future(refinery.refine(LARGE))
        worker = await asyncio.to_thread(busy_worker)
        others = asyncio.ensure_future(refinery.refine_many([GOOD] * 5))
        worker.kill()
        with pytest.raises(ItemError, match=r"large.txt: the extractor was killed by this file \(SIGKILL\)") as caught:
            await slow
        assert caught.value.error_code is ErrorCode.OUT_OF_MEMORY
        assert all(isinstance(outcome, Document) for outcome in await others)
        assert await refinery.refine(GOOD)


async def test_a_worker_that_died_idle_is_replaced() -> None:
    async with opened() as refinery:
        await refinery.refine(GOOD)
        (worker,) = workers()
        worker.kill()
        worker.wait(10)
        assert await refinery.refine(GOOD)


async def test_a_worker_that_grew_large_is_replaced_without_a_failure() -> None:
    async with opened(memory_mb=2048) as refinery:
        with pytest.raises(ItemError, match="binary"):
            await refinery.refine(Item(uri="x.bin", data=bytes(260 * 1024 * 1024)))
        assert not workers()
        assert await refinery.refine(GOOD)


async def test_closing_interrupts_what_is_not_refined_yet() -> None:
    async with opened() as refinery:
        await refinery.refine(GOOD)
        waiting = [asyncio.ensure_future(refinery.refine(LARGE)) for _ in range(3)]
        await asyncio.to_thread(busy_worker)
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, IntelForgeError)
        assert outcome.error_code is ErrorCode.INTERRUPTED
    with pytest.raises(IntelForgeError, match="closed"):
        await refinery.refine(GOOD)


async def test_a_worker_that_cannot_start_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with opened() as refinery:
        with pytest.raises(IntelForgeError, match="did not start"):
            await refinery.refine(GOOD)


async def test_whatever_keeps_a_worker_from_starting_reaches_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*arguments: object, **options: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", no_memory)
    async with Refinery(workers=1, seconds=5, memory_mb=512, tokenizer=None, chunk_tokens=100) as refinery:
        with pytest.raises(IntelForgeError, match="Cannot allocate memory"):
            await asyncio.wait_for(refinery.refine(GOOD), 10)


async def test_cancelled_items_are_not_refined() -> None:
    async with opened() as refinery:
        first, second = (asyncio.ensure_future(refinery.refine(SLOW)) for _ in range(2))
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert (await first).chunks
        assert await refinery.refine(GOOD)


async def test_workers_are_small_and_get_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with opened() as refinery:
        await refinery.refine(Item(uri="a.py", data=b"def run(): pass"))
        (worker,) = workers()
        assert "OPENAI_API_KEY" not in worker.environ()
        assert worker.memory_info().rss < 120 * 1024 * 1024


SCRIPT = """
import asyncio, os, psutil, signal
from intelforge.core.values import Item
from intelforge.refine.pool import Refinery

async def main():
    async with Refinery(workers=1, seconds=60, memory_mb=512, tokenizer=None, chunk_tokens=100) as refinery:
        await refinery.refine(Item(uri="a.txt", data=b"words"))
        asyncio.ensure_future(refinery.refine(Item(uri="b.txt", data=b"words " * 5_000_000)))
        await asyncio.sleep(0)
        print(*(child.pid for child in psutil.Process().children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_workers_die_with_a_killed_parent_and_need_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    pids = [int(pid) for pid in ended.stdout.split()]
    assert pids
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def busy_worker() -> psutil.Process:
    """The one that has read its item: from then on it uses the processor."""
    used = {worker: sum(worker.cpu_times()[:2]) for worker in workers()}
    busy: list[psutil.Process] = []

    def found() -> bool:
        busy.extend(worker for worker in workers() if sum(worker.cpu_times()[:2]) > used.get(worker, 0) + 0.05)
        return bool(busy)

    wait_until(found)
    return busy[0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)

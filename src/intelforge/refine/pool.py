"""Worker processes that refine items, each item within limits of time and memory.

One thread keeps one worker process, which has one item at a time: a file that hangs, eats memory or crashes its
extractor costs that item and a restart of that worker, and nothing else. The workers are plain subprocesses that
import nothing of the caller's program, and get no secrets of its environment.
"""

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from intelforge.core.errors import ErrorCode, IntelForgeError, ItemError
from intelforge.core.values import Document, Item
from intelforge.refine.wire import decode_reply, read_frame, write_item
from intelforge.refine.worker import READY

START_SECONDS = 30.0
"""a worker that is not ready by then is taken for broken"""
IDLE_SECONDS = 2.0
"""a worker without work for so long ends, to give its memory back; the next item starts another"""
LOOK_SECONDS = 0.1
"""between two looks at the clock"""
_KEPT = ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("LC_", "LANG", "PYTHON", "COV_CORE", "COVERAGE_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one item may take."""

    seconds: float
    memory_mb: int


@dataclass(frozen=True, slots=True)
class _Job:
    item: Item
    future: "Future[Document | ItemError]"


class Refinery:
    """Refines items in worker processes, which start when they are first needed. Use it as an async context manager.

    `tokenizer` is the embedder's `tokenizer.json`, or None to estimate its tokens. Any thread and event loop may
    call it.
    """

    def __init__(
        self, *, workers: int, seconds: float, memory_mb: int, tokenizer: Path | None, chunk_tokens: int
    ) -> None:
        options = {
            "parent": os.getpid(),
            "memory_mb": memory_mb,
            "tokenizer": str(tokenizer) if tokenizer else None,
            "chunk_tokens": chunk_tokens,
        }
        limits = Limits(seconds=seconds, memory_mb=memory_mb)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._keepers = [_Keeper(self._jobs, json.dumps(options), limits) for _ in range(workers)]
        self._lock = threading.Lock()
        self._closed = False

    async def refine(self, item: Item) -> Document:
        """The document of an item. Raises ItemError with the reason when it has none."""
        outcome = await asyncio.wrap_future(self._submit(item))
        if isinstance(outcome, ItemError):
            raise outcome
        return outcome

    async def refine_many(self, items: Sequence[Item]) -> list[Document | ItemError]:
        """The document of each item, or why it has none, in the order of the items."""
        return await asyncio.gather(*(asyncio.wrap_future(self._submit(item)) for item in items))

    async def close(self) -> None:
        """Ends the workers, whatever they are doing. What is not refined yet fails as interrupted."""
        with self._lock:
            self._closed = True
        for keeper in self._keepers:
            keeper.stop()
        await asyncio.to_thread(self._join)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _submit(self, item: Item) -> "Future[Document | ItemError]":
        future: Future[Document | ItemError] = Future()
        with self._lock:
            if self._closed:
                raise _interrupted()
            self._jobs.put(_Job(item, future))
            if not any(keeper.idle for keeper in self._keepers):
                next((keeper for keeper in self._keepers if not keeper.started), self._keepers[0]).start()
        return future

    def _join(self) -> None:
        for keeper in self._keepers:
            keeper.join()
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None and job.future.set_running_or_notify_cancel():
                job.future.set_exception(_interrupted())


class _Keeper:
    """A thread that feeds one worker process and replaces it when it is gone."""

    def __init__(self, jobs: "queue.SimpleQueue[_Job | None]", options: str, limits: Limits) -> None:
        self._jobs = jobs
        self._options = options
        self._limits = limits
        self._thread: threading.Thread | None = None
        self._worker: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._deadline = _Deadline()
        self.idle = False

    @property
    def started(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="refine", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._jobs.put(None)
        worker = self._worker
        if worker is not None:
            worker.kill()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.idle = True
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                self._discard()
                continue
            self.idle = False
            if job is None:
                break
            if job.future.set_running_or_notify_cancel():
                self._answer(job)
        self._discard()
        self._deadline.close()

    def _answer(self, job: _Job) -> None:
        try:
            outcome = self._refined(job.item)
        except IntelForgeError as error:
            job.future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            self._discard()
            job.future.set_exception(
                IntelForgeError(
                    f"an extraction worker could not be used ({type(error).__name__}: {error})",
                    hint="free some memory or raise the limit of open files (ulimit -n), then sync again",
                )
            )
        else:
            job.future.set_result(outcome)

    def _refined(self, item: Item) -> Document | ItemError:
        worker = self._running()
        with self._deadline.watch(worker, self._limits.seconds):
            reply = self._exchange(worker, item)
        if reply is None:
            status = self._discard()
            if self._stopping.is_set():
                raise _interrupted()
            return self._failed(item, status, overdue=self._deadline.expired)
        outcome, retired = decode_reply(reply)
        if retired:
            self._discard()
        return outcome

    def _running(self) -> "subprocess.Popen[bytes]":
        """The worker, started if there is none. Raises IntelForgeError when it does not come up."""
        if self._worker is None or self._worker.poll() is not None:
            self._discard()
            self._worker = self._started()
        return self._worker

    def _started(self) -> "subprocess.Popen[bytes]":
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "intelforge.refine.worker", self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # Ctrl-C in the terminal is for the parent alone
        )
        with self._deadline.watch(worker, START_SECONDS):
            ready = read_frame(cast(BinaryIO, worker.stdout))
        if ready != READY or self._stopping.is_set():
            _end(worker)
            if self._stopping.is_set():
                raise _interrupted()
            raise IntelForgeError(
                f"an extraction worker did not start (exit status {worker.returncode})",
                hint="raise extract_memory_mb, and run: intelforge doctor",
            )
        return worker

    def _exchange(self, worker: "subprocess.Popen[bytes]", item: Item) -> bytes | None:
        """The worker's reply; None when it died."""
        try:
            write_item(cast(BinaryIO, worker.stdin), item)
        except OSError:
            return None
        return read_frame(cast(BinaryIO, worker.stdout))

    def _failed(self, item: Item, status: int, *, overdue: bool) -> ItemError:
        if overdue:
            return ItemError(
                f"{item.uri}: extracting its text takes longer than {self._limits.seconds:g} s",
                hint="raise extract_seconds, or leave the item out",
                code=ErrorCode.TIMED_OUT,
            )
        memory = -status in (signal.SIGKILL, signal.SIGABRT)
        return ItemError(
            f"{item.uri}: the extractor was killed by this file ({_status(status)})",
            hint=f"it may need more than {self._limits.memory_mb} MB; raise extract_memory_mb, or leave the item out"
            if memory
            else "leave the item out",
            code=ErrorCode.OUT_OF_MEMORY if memory else ErrorCode.DAMAGED,
        )

    def _discard(self) -> int:
        """Ends the worker, if there is one, and gives its exit status."""
        worker, self._worker = self._worker, None
        return _end(worker) if worker is not None else 0


class _Deadline:
    """Kills a process that is not done in time. One thread looks now and then, for all that a keeper waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._until = 0.0
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.expired = False
        """whether the process watched last was killed"""

    @contextmanager
    def watch(self, process: "subprocess.Popen[bytes]", seconds: float) -> Iterator[None]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="refine deadline", daemon=True)
            self._thread.start()
        with self._lock:
            self._process, self._until, self.expired = process, time.monotonic() + seconds, False
        try:
            yield
        finally:
            with self._lock:
                self._process = None

    def close(self) -> None:
        self._closed.set()

    def _look(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            with self._lock:
                if self._process is not None and time.monotonic() > self._until:
                    self.expired = True
                    self._process.kill()
                    self._process = None


def _end(worker: "subprocess.Popen[bytes]") -> int:
    """Kills the process unless it is gone, and closes its pipes."""
    worker.kill()
    status = worker.wait()
    for stream in (worker.stdin, worker.stdout):
        try:
            cast(BinaryIO, stream).close()
        except OSError:  # what was still to be written cannot be: its reader is gone
            continue
    return status


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}


def _status(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _interrupted() -> IntelForgeError:
    return IntelForgeError("the refinery is closed", hint="run the command again to go on", code=ErrorCode.INTERRUPTED)

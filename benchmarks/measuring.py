"""Runs one program and measures it from outside: when it says what, and the memory of it and all its children."""

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.2
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False"}

Clock = Callable[[], float]
"""seconds that only go up"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a program said, and when."""

    name: str
    seconds: float
    """since the program was started"""
    cpu_seconds: float
    """of processor time that the program and its children had taken by then"""
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One program, from start to end."""

    events: Mapping[str, Event]
    """the first of each name"""
    peak_bytes: int

    def seconds(self, name: str) -> float:
        """When an event happened. Raises RuntimeError when it did not."""
        return self._event(name).seconds

    def cpu_seconds(self, name: str) -> float:
        """The processor time taken until an event. Raises RuntimeError when it did not happen."""
        return self._event(name).cpu_seconds

    def _event(self, name: str) -> Event:
        if name not in self.events:
            raise RuntimeError(f"the program never said {name!r}; it said {', '.join(self.events) or 'nothing'}")
        return self.events[name]


class MemorySampler:
    """The most memory that a process and its descendants had together: their proportional set sizes, every 0.2 s.

    Proportional: a page that several processes share is counted once in all. Use it as a context manager.
    """

    def __init__(self, pid: int, *, seconds: float = SAMPLE_SECONDS) -> None:
        self.peak_bytes = 0
        self._pid = pid
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def __enter__(self) -> "MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def sample(self) -> None:
        self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self.sample()


def tree_bytes(pid: int) -> int:
    """The proportional set size of a process and its descendants; 0 for a process that is gone."""
    return sum(_proportional_bytes(member.pid) for member in _tree(pid))


def tree_cpu_seconds(pid: int) -> float:
    """The processor time of a process, of its descendants, and of those that have ended and were waited for."""
    return sum(_cpu_seconds(member) for member in _tree(pid))


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def run(command: Sequence[str], *, threads: int, clock: Clock = time.monotonic) -> Measured:
    """Runs a program that says its events on standard output, without a network for models.

    Raises RuntimeError with the end of what it wrote to standard error when it fails.
    """
    environment = {**os.environ, **OFFLINE, "OMP_NUM_THREADS": str(threads)}
    events: dict[str, Event] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        began = clock()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment, encoding="utf-8", errors="replace"
        ) as process:
            assert process.stdout is not None
            try:
                with MemorySampler(process.pid) as memory:
                    for line in process.stdout:
                        event = read_event(line, clock() - began, tree_cpu_seconds(process.pid))
                        if event is not None:
                            events.setdefault(event.name, event)
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{command[0]} failed with status {process.returncode}: {errors.read()[-2000:]}")
    return Measured(events=events, peak_bytes=memory.peak_bytes)


def read_event(line: str, seconds: float, cpu_seconds: float) -> Event | None:
    """The event a line tells; None for what libraries print."""
    if not line.startswith('{"event"'):
        return None
    values = json.loads(line)
    return Event(name=values.pop("event"), seconds=seconds, cpu_seconds=cpu_seconds, values=values)

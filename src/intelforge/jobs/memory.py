"""Jobs in this process alone, without durability: the reference for tests."""

import asyncio
from collections.abc import Mapping, Sequence

from intelforge.jobs.protocol import Payload, Step


class MemoryEngine:
    """Runs jobs as tasks; what was waiting when the process ends is gone."""

    def __init__(self) -> None:
        self._kinds: Mapping[str, Sequence[Step]] = {}
        self._waiting: dict[str, tuple[str, Payload]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._done: set[str] = set()
        self._failures: dict[str, str] = {}
        self._concurrency = 0

    async def start(self, kinds: Mapping[str, Sequence[Step]], *, executor: str, concurrency: int) -> None:
        self._kinds, self._concurrency = kinds, concurrency
        self._fill()

    async def submit(self, kind: str, job_id: str, payload: Payload) -> None:
        if job_id not in self._done and job_id not in self._running:
            self._waiting.setdefault(job_id, (kind, payload))
            self._fill()

    async def unfinished(self, prefix: str) -> list[str]:
        return sorted(job for job in (*self._waiting, *self._running) if job.startswith(prefix))

    async def failures(self, prefix: str) -> dict[str, str]:
        return {job: reason for job, reason in self._failures.items() if job.startswith(prefix)}

    async def recover(self, executor: str) -> None:
        """Nothing: another process's jobs ended with it."""

    async def forget(self, prefix: str) -> None:
        self._done = {job for job in self._done if not job.startswith(prefix)}
        self._failures = {job: why for job, why in self._failures.items() if not job.startswith(prefix)}

    async def close(self) -> None:
        self._concurrency = 0
        await asyncio.gather(*self._running.values())

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._concurrency:
            job_id = next(iter(self._waiting))
            kind, payload = self._waiting.pop(job_id)
            self._running[job_id] = asyncio.create_task(self._run(job_id, self._kinds[kind], payload))

    async def _run(self, job_id: str, steps: Sequence[Step], payload: Payload) -> None:
        try:
            for step in steps:
                payload = await step(payload)
        except Exception as error:  # noqa: BLE001 - whatever a step raises is the job's outcome
            self._failures[job_id] = str(error) or type(error).__name__
        self._done.add(job_id)
        del self._running[job_id]
        self._fill()


def open_engine(url: str, *, database_url: str) -> MemoryEngine:
    """`memory:`"""
    return MemoryEngine()

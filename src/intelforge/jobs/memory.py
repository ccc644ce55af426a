"""Jobs in this process alone, without durability: the reference for tests."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from intelforge.jobs.protocol import Payload, Step


class MemoryEngine:
    """Runs jobs as tasks; what was waiting when the process ends is gone."""

    def __init__(self) -> None:
        self._kinds: Mapping[str, Sequence[Step]] = {}
        self._waiting: dict[str, tuple[str, Payload]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, str] = {}
        self._concurrency = 0

    async def start(self, kinds: Mapping[str, Sequence[Step]], *, executor: str, concurrency: int) -> None:
        self._kinds, self._concurrency = kinds, concurrency
        self._fill()

    async def submit(self, kind: str, job_id: str, payload: Payload) -> None:
        if job_id not in self._ended and job_id not in self._running:
            self._waiting.setdefault(job_id, (kind, payload))
            self._fill()

    async def unfinished(self, prefix: str) -> list[str]:
        return sorted(job for job in (*self._waiting, *self._running) if job.startswith(prefix))

    async def recover(self, alive: Collection[str]) -> None:
        """Nothing: another process's jobs ended with it."""

    async def settle(self, prefix: str) -> dict[str, str]:
        settled = {job: why for job, why in self._ended.items() if job.startswith(prefix)}
        self._ended = {job: why for job, why in self._ended.items() if job not in settled}
        return {job: why for job, why in settled.items() if why}

    async def close(self) -> None:
        self._concurrency = 0
        await asyncio.gather(*self._running.values())

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._concurrency:
            job_id = next(iter(self._waiting))
            kind, payload = self._waiting.pop(job_id)
            self._running[job_id] = asyncio.create_task(self._run(job_id, self._kinds[kind], payload))

    async def _run(self, job_id: str, steps: Sequence[Step], payload: Payload) -> None:
        failure = ""
        try:
            for step in steps:
                payload = await step(payload)
        except Exception as error:  # noqa: BLE001 - whatever a step raises is the job's outcome
            failure = str(error) or type(error).__name__
        self._ended[job_id] = failure
        del self._running[job_id]
        self._fill()


def open_engine(url: str, *, database_url: str) -> MemoryEngine:
    """`memory:`"""
    return MemoryEngine()

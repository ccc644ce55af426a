"""The contract of a job engine."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

Payload = Mapping[str, Any]
"""JSON values only: it is stored between steps and read by other processes."""

Step = Callable[[Payload], Awaitable[Payload]]
"""One step of a job; it gets what the step before it returned, runs at least once, and must be idempotent."""


class JobEngine(Protocol):
    """Runs jobs of known kinds, each a sequence of steps, in any process of the workspace.

    A job that was submitted runs to its end even when the process that submitted or began it dies: finished steps are
    not run again, and its unfinished step is run by the next process that recovers it.
    """

    async def start(self, kinds: Mapping[str, Sequence[Step]], *, executor: str, concurrency: int) -> None:
        """Begins to run jobs, at most `concurrency` at once in this process, in the name of `executor`."""
        ...

    async def submit(self, kind: str, job_id: str, payload: Payload) -> None:
        """Puts a job in the queue. Submitting an id twice runs it once."""
        ...

    async def unfinished(self, prefix: str) -> list[str]:
        """Ids of the jobs that begin with `prefix` and are waiting or running in any process."""
        ...

    async def recover(self, alive: Collection[str]) -> None:
        """Puts the jobs that executors other than these were running back in the queue."""
        ...

    async def settle(self, prefix: str) -> dict[str, str]:
        """Forgets the ended jobs that begin with `prefix`; returns why those that failed did, by id."""
        ...

    async def close(self) -> None:
        """Lets running jobs finish and begins no more; waiting ones stay in the queue for the next process."""
        ...

"""How far the batches of a sync have come, with rate and time to go."""

import time
from collections import deque
from collections.abc import Callable, Collection

from intelforge.core.reports import Progress, Stage

MEMORY_SECONDS = 10.0
"""the rate is that of the recent past"""


class Meter:
    """Counts the items of submitted batches, wherever they run.

    Batches tell of themselves only when they end; items ingested in this process are counted at once.
    """

    def __init__(self, report: Callable[[Progress], None], *, timer: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._timer = timer
        self._expected: dict[str, int] = {}
        self._here = 0
        self._past: deque[tuple[float, int]] = deque()

    def expect(self, job_id: str, items: int) -> None:
        """A batch of so many items has been submitted."""
        self._expected[job_id] = items

    def advance(self, items: int) -> None:
        """So many items have been ingested in this process."""
        self._here += items

    def tell(self, unfinished: Collection[str], *, detail: str = "") -> None:
        """Reports progress, given the ids of the batches that have not ended."""
        total = sum(self._expected.values())
        left = sum(self._expected.get(job_id, 0) for job_id in unfinished)
        done = max(total - left, min(self._here, total))
        rate = self._rate(done)
        eta = (total - done) / rate if rate else None
        self._report(Progress(stage=Stage.INGESTING, done=done, total=total, rate=rate, eta=eta, detail=detail))

    def _rate(self, done: int) -> float:
        now = self._timer()
        self._past.append((now, done))
        while self._past[0][0] < now - MEMORY_SECONDS:
            self._past.popleft()
        then, before = self._past[0]
        return (done - before) / (now - then) if now > then else 0.0

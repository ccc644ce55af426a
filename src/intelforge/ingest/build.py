"""Builds a version of the index beside the one that answers: its text, then its vectors; in the end it answers."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace

from intelforge.core.errors import ErrorCode, NotFoundError, StorageError
from intelforge.core.reports import Progress
from intelforge.ingest.comparison import Comparison
from intelforge.ingest.embed import Embedding
from intelforge.ingest.index import Indexer
from intelforge.jobs.leases import NotHeldError
from intelforge.store.standings import Standings

WATCH_SECONDS = 2.0
"""between two looks at whether the version was given up"""
ROUNDS = 3
"""times that what does not hold is written again"""

Report = Callable[[Progress], None]
Stopped = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What came of a build."""

    embedded: int = 0
    """chunks that got a vector here"""
    compared: int = 0
    """vectors that were held against their originals"""


class Build:
    """One version, built by one process at a time; what was built stays, and goes on from there."""

    def __init__(
        self,
        standings: Standings,
        indexer: Indexer,
        embedding: Embedding | None,
        *,
        comparison: Comparison | None,
        held: Callable[[Stopped], AbstractAsyncContextManager[object]],
        pending: Callable[[], Awaitable[bool]],
        swap: Callable[[], Awaitable[object]],
    ) -> None:
        """`held` is entered for as long as it builds, and raises NotHeldError when stopped while waiting.

        `pending` tells whether it is still to be built; `swap` lets it answer, once it holds all that is current, and
        raises NotFoundError when it was given up.
        """
        self._held = held
        self._standings = standings
        self._indexer = indexer
        self._embedding = embedding
        self._comparison = comparison
        self._pending = pending
        self._swap = swap

    async def run(self, *, report: Report, stopped: Stopped) -> Built:
        """Builds until it is complete, or `stopped`, or given up by someone else."""
        given_up = asyncio.Event()
        try:
            async with self._held(stopped):
                if not await self._pending():
                    return Built()
                watching = asyncio.create_task(self._watch(given_up), name="watching the index version")
                try:
                    return await self._build(report, lambda: given_up.is_set() or stopped())
                finally:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
        except NotHeldError:
            return Built()

    async def _watch(self, given_up: asyncio.Event) -> None:
        while await self._pending():  # noqa: ASYNC110 - the database says so, for other processes too
            await asyncio.sleep(WATCH_SECONDS)
        given_up.set()

    async def _build(self, report: Report, stopped: Stopped) -> Built:
        await self._indexer.repair()
        built = Built()
        for _ in range(ROUNDS):
            made = await self._fill(report, stopped)
            built = replace(built, embedded=built.embedded + made)
            if stopped() or not await self._filled():
                return built
            await self._indexer.maintain()
            if await self._indexer.differing():
                await self._indexer.repair()
                continue
            if self._comparison:
                found = await self._comparison.run(report=report, stopped=stopped)
                built = replace(built, compared=found.compared)
                if stopped():
                    return built
                if found.differing:
                    await self._indexer.remove(found.differing)
                    continue
            with suppress(NotFoundError):
                await self._swap()
            return built
        raise StorageError(
            "the new index version does not hold what was written to it",
            hint="check its store, then run the same command again",
            code=ErrorCode.DAMAGED,
        )

    async def _fill(self, report: Report, stopped: Stopped) -> int:
        """Adds text and vectors until nothing is left, though documents may come meanwhile; returns the vectors."""
        embedded = 0
        while not stopped():
            moved = await self._indexer.follow()
            made = await self._embedding.run(report=report, stopped=stopped) if self._embedding else 0
            embedded += made
            if not (moved or made):
                break
        return embedded

    async def _filled(self) -> bool:
        counts = await self._standings.counts()
        return counts.indexed == counts.chunks and (self._embedding is None or not await self._embedding.left())

"""One sync: list each source, run its batches as durable jobs, follow with the index, then embed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from intelforge.core.clock import Clock, NewId, new_id, utc_now
from intelforge.core.errors import ErrorCode, IntelForgeError, StorageError
from intelforge.core.reports import Progress, Stage, SyncReport
from intelforge.core.values import ItemRef, ItemState, Source
from intelforge.ingest.batch import Batch, encode
from intelforge.ingest.build import Build
from intelforge.ingest.collectors import Collectors
from intelforge.ingest.embed import Embedding
from intelforge.ingest.index import Indexer
from intelforge.ingest.listing import Listing
from intelforge.ingest.progress import Meter
from intelforge.jobs.leases import LeaseHolder, NotHeldError
from intelforge.jobs.protocol import JobEngine, Payload, Step
from intelforge.store.items import Items
from intelforge.store.leases import Leases
from intelforge.store.sources import Sources

JOB = "ingest"
EXECUTOR = "executor:"
RECOVERY = "recovery"
CONCURRENCY = 2
"""batches at once: one waits for the extractors while the other is stored and indexed"""
POLLING_SECONDS = 0.25
SUPERVISION_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncParts:
    """What a sync works with."""

    sources: Sources
    items: Items
    leases: Leases
    holder: LeaseHolder
    indexer: Indexer
    engine: JobEngine
    batch: Callable[[Callable[[int], None]], Batch]
    embedding: Embedding | None
    """of the version that answers"""
    build: Callable[[], Awaitable[Build]] | None
    """of the version that the settings ask for, when that is another"""
    collectors: Collectors
    batch_items: int
    clock: Clock = utc_now
    new_id: NewId = new_id


class Sync:
    """Brings the workspace in step with its sources. One object runs one sync."""

    def __init__(self, parts: SyncParts, *, report: Callable[[Progress], None], stopped: Callable[[], bool]) -> None:
        self._parts = parts
        self._report = report
        self._stopped = stopped
        self._meter = Meter(report)
        self._broken: StorageError | None = None

    async def run(self, sources: Sequence[Source], *, embed: bool, retry_failed: bool) -> SyncReport:
        """Syncs these sources; raises StorageError when the workspace itself cannot go on."""
        began, started_at = time.monotonic(), self._parts.clock()
        total = SyncReport()
        async with self._working():
            await self._parts.indexer.repair()
            for source in sources:
                if self._halted():
                    break
                total = _sum(total, await self._sync(source, retry_failed=retry_failed))
            if not self._halted():
                await self._parts.indexer.follow()
            if not self._halted():
                await self._parts.indexer.maintain()
            searchable = time.monotonic() - began
            self._report(Progress(stage=Stage.EMBEDDING, done=0, total=None, unit="chunks"))
            embedded = 0
            if embed and self._parts.embedding and not self._halted():
                embedded = await self._parts.embedding.run(report=self._report, stopped=self._halted)
            if embed and self._parts.build and not self._halted():
                try:
                    build = await self._parts.build()
                    embedded = (await build.run(report=self._report, stopped=self._halted)).embedded
                except IntelForgeError as error:  # the version that answers has all that was read
                    total = replace(total, complete=False, errors=(*total.errors, f"the new index version: {error}"))
        if self._broken:
            raise self._broken
        failed = len(await self._parts.items.failures(since=started_at))
        self._report(Progress(stage=Stage.DONE, done=1, total=1))
        return replace(
            total,
            failed=failed,
            chunks_embedded=embedded,
            searchable_seconds=searchable,
            seconds=time.monotonic() - began,
            complete=total.complete and not self._stopped(),
        )

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        """Runs the job engine and its supervision for the block."""
        name = EXECUTOR + self._parts.holder.owner
        await self._enlist(name)
        kinds: dict[str, Sequence[Step]] = {JOB: self._steps()}
        await self._parts.engine.start(kinds, executor=name, concurrency=CONCURRENCY)
        supervision: asyncio.Task[None] | None = None
        try:
            await self._take_over()
            supervision = asyncio.create_task(self._supervise(name), name="supervision")
            yield
        finally:
            if supervision:
                supervision.cancel()
                await asyncio.gather(supervision, return_exceptions=True)
            await self._parts.engine.close()
            await self._parts.collectors.close()
            await self._parts.leases.release(name)

    def _steps(self) -> Sequence[Step]:
        batch = self._parts.batch(self._meter.advance)
        return [self._guarded(batch.store), self._guarded(batch.index)]

    def _guarded(self, step: Step) -> Step:
        """A step that ends the sync when the workspace itself is broken: a full disk fails every batch alike."""

        async def guarded(payload: Payload) -> Payload:
            try:
                return await step(payload)
            except StorageError as error:
                self._broken = error
                raise

        return guarded

    async def _enlist(self, name: str) -> None:
        """Counts this executor among the living; not while another process counts them."""
        async with self._parts.holder.hold(RECOVERY):
            await self._parts.leases.acquire(name, detail="syncing")

    async def _supervise(self, name: str) -> None:
        while True:
            await asyncio.sleep(SUPERVISION_SECONDS)
            try:
                await self._enlist(name)  # it may have been taken for dead, after the machine slept
                await self._take_over()
            except StorageError as error:
                if error.error_code is not ErrorCode.BUSY:
                    self._broken = error
            except Exception as error:  # noqa: BLE001 - unsupervised, a sync could wait for a dead process for ever
                self._broken = StorageError(
                    f"the job engine failed ({type(error).__name__})", hint="sync again", code=ErrorCode.INTERNAL
                )

    async def _take_over(self) -> None:
        """Takes up the jobs of executors that died."""
        leases, engine = self._parts.leases, self._parts.engine
        for lease in await leases.expired(prefix=EXECUTOR):
            await leases.forget(lease)
        async with self._parts.holder.hold(RECOVERY):
            await engine.recover({lease.name for lease in await leases.held(prefix=EXECUTOR)})

    async def _sync(self, source: Source, *, retry_failed: bool) -> SyncReport:
        def waiting() -> None:
            self._report(
                Progress(stage=Stage.LISTING, done=0, total=None, detail=f"another process is syncing {source.uri}")
            )

        name, detail = f"source:{source.id}", f"syncing {source.uri}"
        try:
            async with self._parts.holder.hold(name, detail=detail, waiting=waiting, stopped=self._halted):
                return await self._sync_alone(source, retry_failed=retry_failed)
        except NotHeldError:
            return SyncReport(complete=False)

    async def _sync_alone(self, source: Source, *, retry_failed: bool) -> SyncReport:
        if not await self._drain(source):
            return SyncReport(complete=False)
        try:
            return await self._list_and_run(source, retry_failed=retry_failed)
        except StorageError:
            raise
        except IntelForgeError as error:
            await self._parts.sources.failed(source.id, str(error))
            return SyncReport(complete=False, errors=(f"{source.uri}: {str(error).removeprefix(f'{source.uri}: ')}",))

    async def _list_and_run(self, source: Source, *, retry_failed: bool) -> SyncReport:
        listing = Listing(known=await self._parts.items.known(source.id), retry_failed=retry_failed)
        waiting: list[ItemRef] = []
        async with aclosing(listing.read(await self._parts.collectors.open(source))) as refs:
            async for ref in refs:
                waiting.append(ref)
                self._report(Progress(stage=Stage.LISTING, done=listing.listed, total=None, detail=source.uri))
                if self._halted():
                    return await self._counted(source, listing, complete=False)
                if len(waiting) >= self._parts.batch_items:
                    await self._submit(source, waiting)
                    waiting = []
        for renamed in listing.renamed:
            await self._parts.items.rename(source.id, renamed.old_uri, renamed.ref)
        await self._submit(source, waiting)
        await self._parts.items.record(source.id, listing.rejected)
        return await self._finish(source, listing)

    async def _finish(self, source: Source, listing: Listing) -> SyncReport:
        """Only when every batch has been stored may the rest be taken as gone and the cursor move on."""
        if not await self._drain(source):
            return await self._counted(source, listing, complete=False)
        if failures := await self._parts.engine.settle(f"{source.id}/"):
            reason = next(iter(failures.values()))
            await self._parts.sources.failed(source.id, reason)
            return replace(await self._counted(source, listing, complete=False), errors=(f"{source.uri}: {reason}",))
        gone = listing.gone()
        await self._parts.items.gone(source.id, gone)
        if listing.complete:
            await self._parts.sources.synced(source.id, cursor=listing.complete.cursor)
        return replace(await self._counted(source, listing, complete=True), removed=len(gone))

    async def _counted(self, source: Source, listing: Listing, *, complete: bool) -> SyncReport:
        """What became of what was listed; what is not read yet is in no count."""
        read = listing.added or listing.changed
        known = await self._parts.items.known(source.id) if read else {}
        standing = {uri: item.state for uri, item in known.items() if not item.code or item.state is ItemState.SKIPPED}
        skipped = [uri for uri in (*listing.added, *listing.changed) if standing.get(uri) is ItemState.SKIPPED]
        return SyncReport(
            added=sum(standing.get(uri) is ItemState.READY for uri in listing.added),
            changed=sum(standing.get(uri) is ItemState.READY for uri in listing.changed),
            unchanged=listing.unchanged,
            renamed=len(listing.renamed),
            skipped=len(skipped) + sum(one.state is ItemState.SKIPPED for one in listing.rejected),
            complete=complete,
        )

    async def _submit(self, source: Source, refs: Sequence[ItemRef]) -> None:
        if refs:
            await self._parts.items.pend(source.id, refs)
            payload = {"source": source.id, "items": [encode(ref) for ref in refs]}
            job_id = f"{source.id}/{self._parts.new_id()}"
            self._meter.expect(job_id, len(refs))
            await self._parts.engine.submit(JOB, job_id, payload)

    async def _drain(self, source: Source) -> bool:
        """Waits until every batch of the source has run, in whatever process; False when stopped before."""
        while unfinished := await self._parts.engine.unfinished(f"{source.id}/"):
            if self._halted():
                return False
            self._meter.tell(unfinished, detail=source.uri)
            await asyncio.sleep(POLLING_SECONDS)
        self._meter.tell([], detail=source.uri)
        return True

    def _halted(self) -> bool:
        return self._broken is not None or self._stopped()


def _sum(left: SyncReport, right: SyncReport) -> SyncReport:
    counts = ("added", "changed", "renamed", "removed", "unchanged", "skipped")
    return replace(
        left,
        **{name: getattr(left, name) + getattr(right, name) for name in counts},
        complete=left.complete and right.complete,
        errors=left.errors + right.errors,
    )

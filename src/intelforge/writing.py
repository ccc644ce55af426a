"""What writes the index, put together from the parts of a workspace: for syncs, and for new versions.

Imported late: only what writes needs the job engine and the processes that extract text.
"""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from intelforge.core.index_reports import IndexState, IndexVersion
from intelforge.core.registry import load_backend
from intelforge.index.protocol import VectorStore
from intelforge.ingest.batch import Batch
from intelforge.ingest.build import Build
from intelforge.ingest.chunk_vectors import ChunkVectors
from intelforge.ingest.collectors import Collectors
from intelforge.ingest.comparison import Comparison
from intelforge.ingest.embed import Embedding
from intelforge.ingest.index import Indexer
from intelforge.ingest.sync import SyncParts
from intelforge.jobs.leases import LeaseHolder
from intelforge.parts import Parts
from intelforge.refine.pool import Refinery
from intelforge.versions import BUILDING_LEASE, Serving


@asynccontextmanager
async def syncing(parts: Parts) -> AsyncIterator[SyncParts]:
    """What a sync works with, open for the block."""
    settings, embedder = parts.settings, parts.search_models.embedder()
    wanted = await parts.versions.wanted()
    serving = await parts.versions.live()
    refinery = Refinery(
        workers=settings.workers,
        seconds=settings.extract_seconds,
        memory_mb=settings.extract_memory_mb,
        tokenizer=embedder.tokenizer if embedder else None,
        chunk_tokens=settings.chunk_tokens,
    )
    collectors = Collectors(parts.sources, parts.collector)
    async with LeaseHolder(parts.leases) as holder, refinery, parts.calls.supervised():
        writer = indexer(parts, serving, holder)

        def batch(advanced: Callable[[int], None]) -> Batch:
            return Batch(
                items=parts.items,
                indexer=writer,
                collector_of=collectors.of,
                refine=refinery.refine_many,
                advanced=advanced,
            )

        yield SyncParts(
            sources=parts.sources,
            items=parts.items,
            leases=parts.leases,
            holder=holder,
            indexer=writer,
            engine=_engine(parts),
            batch=batch,
            embedding=None if wanted else _embedding(parts, serving, holder),
            build=functools.partial(build, parts, wanted, holder) if wanted else None,
            collectors=collectors,
            batch_items=settings.batch_items,
        )


async def build(
    parts: Parts, version: IndexVersion, holder: LeaseHolder, *, before_swap: Callable[[], None] = lambda: None
) -> Build:
    """What fills a version beside the one that answers, and in the end lets it answer, after `before_swap`."""
    building = await parts.versions.opened(version)
    donor = await parts.versions.donor_of(version)

    @asynccontextmanager
    async def held(stopped: Callable[[], bool]) -> AsyncIterator[None]:
        lease = holder.hold(BUILDING_LEASE, detail="building an index version", stopped=stopped)
        async with parts.versions.building, lease:
            yield

    async def pending() -> bool:
        found = await parts.versions.record.in_state(IndexState.BUILDING)
        return found is not None and found.number == version.number

    async def swap() -> None:
        before_swap()
        await parts.versions.record.go_live(version.number)

    return Build(
        building.standings,
        indexer(parts, building, holder),
        _embedding(parts, building, holder, donor=donor),
        comparison=Comparison(building.standings, building.store, donor) if donor else None,
        held=held,
        pending=pending,
        swap=swap,
    )


def indexer(parts: Parts, serving: Serving, holder: LeaseHolder) -> Indexer:
    """The writer of a version's text."""
    return Indexer(parts.documents, serving.standings, serving.store, holder)


def _embedding(
    parts: Parts, serving: Serving, holder: LeaseHolder, *, donor: VectorStore | None = None
) -> Embedding | None:
    if serving.embedder is None:
        return None
    return Embedding(
        parts.documents,
        serving.standings,
        serving.store,
        ChunkVectors(serving.embedder, donor=donor, idle=parts.idle),
        holder,
        facts=parts.facts,
    )


def _engine(parts: Parts) -> Any:
    return load_backend("job_engines", parts.settings.jobs)(parts.settings.jobs, database_url=parts.database.jobs_url)

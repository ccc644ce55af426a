"""The state of a workspace: its sources and items, how far its index has come, and what to know of both."""

from typing import Final

from intelforge.core.reports import Status
from intelforge.index.protocol import Embedder
from intelforge.ingest.embed import RATE_FACT
from intelforge.parts import Parts
from intelforge.searching import Searching
from intelforge.store.standings import Counts
from intelforge.upkeep import IndexUpkeep

FAILURES_SHOWN: Final = 1000


async def state_of(parts: Parts, searching: Searching, index: IndexUpkeep, *, skipped: bool) -> Status:
    """Its failures include what was skipped by rule when `skipped` is set."""
    live = await parts.versions.live_version()
    embedder, _ = parts.versions.embedder_of(live)
    counts = await parts.versions.counts(live)
    rate = float(await parts.facts.get(RATE_FACT) or 0.0)
    return Status(
        path=str(parts.root),
        sources=tuple(await parts.sources.statuses()),
        items=await parts.items.counts(),
        documents=counts.documents,
        chunks=counts.chunks,
        embedded=counts.embedded if embedder else 0,
        embedder=(live.embedder if live.model else parts.settings.embedder) if embedder else "none:",
        embedding_rate=rate,
        embedding_eta=_seconds_left(counts, embedder, rate),
        failures=tuple(await parts.items.failures(skipped=skipped, limit=FAILURES_SHOWN)),
        running=await _running(parts),
        building=await index.building(),
        notes=(*await searching.lacking(reranking=True), *_notes(counts, embedder)),
    )


async def empty_note(parts: Parts) -> str:
    """What to do about a workspace in which nothing can be found."""
    hint = "run: intelforge sync, then: intelforge status"
    if not await parts.sources.all():
        hint = "run: intelforge add PATH_OR_URL, then: intelforge sync"
    return f"the workspace is empty; {hint}"


def _seconds_left(counts: Counts, embedder: Embedder | None, rate: float) -> float | None:
    left = counts.left(local=embedder.local) if embedder else counts.chunks
    if left == 0:
        return 0.0
    return left / rate if rate and embedder else None


async def _running(parts: Parts) -> tuple[str, ...]:
    """What other processes are doing, a line each."""
    held = [lease for lease in await parts.leases.held() if lease.owner != parts.leases.owner and lease.detail]
    return tuple(f"process {lease.owner.rsplit(':', 3)[1]}: {lease.detail}" for lease in held)


def _notes(counts: Counts, embedder: Embedder | None) -> list[str]:
    notes = []
    if unindexed := counts.chunks - counts.indexed:
        notes.append(f"{unindexed} chunks are not in the index yet; run: intelforge sync")
    if embedder and counts.withheld and not embedder.local:
        notes.append(
            f"{counts.withheld} chunks are found by their words alone: they may only go to models on this machine, "
            f"and {embedder.name} is not on it; set another: intelforge config set embedder URL"
        )
    return notes

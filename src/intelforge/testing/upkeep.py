"""The index of a workspace that returns what a test sets, for tests of the interfaces."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intelforge.core.index_reports import (
    BuildReason,
    BuildReport,
    Candidate,
    IndexState,
    IndexStats,
    IndexVersion,
    Latency,
    SlowSearch,
    Transfer,
    Tuning,
    Verification,
    VersionStatus,
)
from intelforge.core.reports import Progress, Stage
from intelforge.core.search import SearchPlan

if TYPE_CHECKING:
    from intelforge.upkeep import IndexUpkeep
else:
    IndexUpkeep = object  # the type checker holds the double to the real signatures; at run time it needs none of it

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LIVE = IndexVersion(
    number=2,
    url="lancedb:.intelforge/index",
    embedder="onnx:all-MiniLM-L6-v2",
    model="onnx:all-MiniLM-L6-v2@1234",
    state=IndexState.LIVE,
    reason=BuildReason.SETTINGS,
    created_at=AT,
    live_at=AT,
)
STATUS = VersionStatus(version=LIVE, chunks=40, embedded=30, wanted=40)


BUILT = BuildReport(status=STATUS, embedded=30, compared=30, complete=True)
VERIFICATION = Verification(
    missing=1, superfluous=2, without_vectors=0, followed=1, repaired=True, chunks=40, indexed=40, embedded=30
)
TUNING = Tuning(
    rows=60_000,
    dimensions=384,
    kind="IVF_FLAT",
    partitions=244,
    probes=20,
    candidates=(
        Candidate(kind="IVF_FLAT", probes=10, recall=0.95, milliseconds=2.0),
        Candidate(kind="scan", recall=1.0, milliseconds=40.0),
    ),
    reason="20 probes reach a recall of 0.982.",
)

SLOW = SlowSearch(
    at=AT,
    seconds=2.5,
    parts={"words": 0.4, "meaning": 2.1},
    plan=SearchPlan(
        query="graceful shutdown",
        where="principal:*",
        store="lancedb:.intelforge/index",
        candidates={"lexical": 100, "vector": 100},
        vector_weight=0.9,
        weighed="a question",
        embedded=0.75,
    ),
)


@dataclass
class FakeIndex(IndexUpkeep):
    """Gives the values it holds and records what it was asked."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    built: BuildReport = BUILT
    verification: Verification = VERIFICATION
    tuning: Tuning = TUNING

    async def versions(self) -> list[VersionStatus]:
        return [replace(STATUS, version=replace(LIVE, number=1, state=IndexState.PREVIOUS)), STATUS]

    async def building(self) -> VersionStatus | None:
        return None

    async def rollback(self) -> IndexVersion:
        self.calls.append(("rollback",))
        return LIVE

    async def drop(self, number: int, *, dry_run: bool = False) -> IndexVersion:
        self.calls.append(("drop", number, dry_run))
        return replace(LIVE, number=number)

    async def rebuild(self, *, report: Callable[[Progress], None] | None = None) -> BuildReport:
        self.calls.append(("rebuild",))
        return self.built

    async def migrate(self, to: str, *, report: Callable[[Progress], None] | None = None) -> BuildReport:
        self.calls.append(("migrate", to))
        if report:
            report(Progress(stage=Stage.COMPARING, done=3, total=30, unit="chunks"))
        return self.built

    async def verify(self, *, dry_run: bool = False) -> Verification:
        return replace(self.verification, repaired=not dry_run)

    async def tune(self, *, apply: bool = True) -> Tuning:
        return self.tuning

    async def stats(self) -> IndexStats:
        return IndexStats(
            status=STATUS,
            held_chunks=40,
            held_vectors=30,
            undescribed=2,
            synced_at=AT,
            tuning=self.tuning,
            slow=(SLOW,),
            latencies={"all": Latency(searches=100, p50=0.012, p95=0.03, p99=0.2)},
        )

    async def export(self, path: Path, *, report: Callable[[Progress], None] | None = None) -> Transfer:
        return Transfer(path=str(path), model=LIVE.model, chunks=40, vectors=30)

    async def load(
        self, path: Path, *, dry_run: bool = False, report: Callable[[Progress], None] | None = None
    ) -> Transfer:
        self.calls.append(("load", dry_run))
        return Transfer(path=str(path), model=LIVE.model, chunks=40, vectors=30, unknown=4, present=6)

"""What is told of the index: its versions, what came of building and checking them, how it is searched and how fast."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from intelforge.core.search import SearchPlan


class IndexState(StrEnum):
    """Where a version of the index stands."""

    BUILDING = "building"
    LIVE = "live"
    PREVIOUS = "previous"
    """was live before, and can be gone back to"""
    RETIRED = "retired"
    """is given up, and its store is to be emptied"""


class BuildReason(StrEnum):
    """Why a version of the index was made."""

    FIRST = "first"
    SETTINGS = "settings"
    """`index` or `embedder` was set to something else"""
    REBUILD = "rebuild"
    MIGRATION = "migration"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexVersion:
    """One version of the index: a store, and the embedder whose vectors are in it."""

    number: int
    url: str
    """of the store, without a password"""
    embedder: str
    """URL of the embedder"""
    model: str = ""
    """what the embedder calls itself; empty before it has embedded anything"""
    state: IndexState
    reason: BuildReason
    created_at: datetime
    live_at: datetime | None = None
    """since when it answered, last"""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """A version of the index, and how far it has followed the documents."""

    version: IndexVersion
    chunks: int
    """of current documents that it holds"""
    embedded: int
    wanted: int
    """chunks of all current documents"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What came of building a version of the index."""

    status: VersionStatus
    embedded: int
    """chunks that got a vector now, made or taken over"""
    compared: int
    """vectors taken over that were held against their originals"""
    complete: bool
    """whether it answers now; what was built stays, and the same command goes on from there"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What holding the index against the database found, in documents."""

    missing: int
    """in the database, not or not whole in the index"""
    superfluous: int
    """in the index alone"""
    without_vectors: int
    """that lack vectors the database has on record"""
    followed: int
    """brought in or taken out by the repair"""
    repaired: bool
    chunks: int
    """of all current documents, after the repair"""
    indexed: int
    embedded: int

    @property
    def agrees(self) -> bool:
        return not (self.missing or self.superfluous or self.without_vectors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What went into a file, or came out of it."""

    path: str
    model: str
    """whose vectors it holds; empty for none"""
    chunks: int = 0
    vectors: int = 0
    unknown: int = 0
    """rows whose text is not here"""
    present: int = 0
    """rows whose chunk has a vector already"""
    refused: int = 0
    """rows whose vector is not of length one"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowSearch:
    """A search that took longer than `slow_search_seconds`."""

    at: datetime
    seconds: float
    parts: Mapping[str, float]
    """seconds by part"""
    plan: SearchPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to search the vectors of an index, measured on a sample of queries."""

    kind: str
    """of the index: `scan` reads every vector, `IVF_FLAT` and its like only those of the nearest partitions"""
    probes: int = 0
    """partitions that one search reads; 0 for a scan"""
    refine: int = 0
    """vectors compared again without quantisation; 0 for none"""
    recall: float
    """at 10, against a scan of all"""
    milliseconds: float
    """a search, the median of the sample"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the vectors of an index are searched, and what was measured when that was chosen."""

    rows: int
    """vectors held now"""
    dimensions: int
    unindexed: int = 0
    """vectors not in the index yet, which every search reads beside it"""
    kind: str = "scan"
    partitions: int = 0
    probes: int = 0
    refine: int = 0
    recall: float | None = None
    """at 10 on the sample; None where nothing was measured; 1.0 for a scan"""
    milliseconds: float | None = None
    """a vector search, the median of the sample"""
    sample: int = 0
    """queries it was measured with"""
    measured_rows: int = 0
    """vectors held when it was measured"""
    measured_at: datetime | None = None
    candidates: tuple[Candidate, ...] = ()
    """what was tried, cheapest first; empty when it was not measured just now"""
    reason: str
    """why it is so, one sentence"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long recent searches took, or one part of them, in seconds."""

    searches: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStats:
    """How far the version of the index that answers has come, how fresh, how fast and how exact it is."""

    status: VersionStatus
    held_chunks: int
    """by the store's own count"""
    held_vectors: int
    undescribed: int
    """documents whose labels in the index may be out of date, 1000 at the most"""
    synced_at: datetime | None
    """the end of the last complete sync of the source that waits longest"""
    tuning: Tuning | None
    """None where the store does not measure itself"""
    latencies: Mapping[str, Latency] = field(default_factory=dict)
    """of recent searches, by part"""
    slow: tuple[SlowSearch, ...] = ()
    """the last of them that were slow, newest first"""

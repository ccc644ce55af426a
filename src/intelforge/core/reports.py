"""What the workspace tells its interfaces: pure values, the same for CLI, API and web."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from intelforge.core.search import SearchPlan
from intelforge.core.values import Document, Failure, Source


class Stage(StrEnum):
    """The stages of long work that report progress."""

    LISTING = "listing"
    INGESTING = "ingesting"
    EMBEDDING = "embedding"
    COPYING = "copying"
    COMPARING = "comparing"
    MEASURING = "measuring"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One moment of long work. `rate` is units a second over the recent past; `eta` seconds to go, None if unknown."""

    stage: Stage
    done: int
    total: int | None
    """None while the total is not known yet"""
    unit: str = "items"
    rate: float = 0.0
    eta: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """A source with its items by state."""

    source: Source
    items: Mapping[str, int] = field(default_factory=dict)
    last_sync: datetime | None = None
    """end of the last complete sync"""
    error: str = ""
    """why the last sync did not complete; empty when it did"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What one sync did."""

    added: int = 0
    changed: int = 0
    renamed: int = 0
    removed: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    chunks_embedded: int = 0
    searchable_seconds: float = 0.0
    """from start until every new text could be found"""
    seconds: float = 0.0
    complete: bool = True
    """False when interrupted or when a source could not be listed to its end"""
    errors: tuple[str, ...] = ()
    """one line for every source that failed as a whole, and for an index version that could not be built"""


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
class Status:
    """The state of a workspace."""

    path: str
    sources: tuple[SourceStatus, ...]
    items: Mapping[str, int]
    """items by state: pending, ready, skipped, failed"""
    documents: int
    """distinct current documents"""
    chunks: int
    embedded: int
    """chunks with a vector of the current embedder"""
    embedder: str
    """URL of the embedder, `none:` when search is lexical only"""
    embedding_rate: float
    """chunks a second, as last measured; 0.0 before the first"""
    embedding_eta: float | None
    """seconds until all chunks are embedded at that rate; None when unknown, 0.0 when complete"""
    failures: tuple[Failure, ...]
    """newest first, skipped items included only when asked for"""
    running: tuple[str, ...] = ()
    """what other live processes are doing on this workspace, a line each"""
    building: VersionStatus | None = None
    """the version of the index that is being built beside the one that answers"""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A document as `show` gives it."""

    document: Document
    locations: tuple[str, ...]
    """every item that is this document now, first the one asked for; empty for a superseded version"""
    span: tuple[int, int] | None = None
    versions: tuple[str, ...] = ()
    """ids of the versions of the first item, oldest first"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowSearch:
    """A search that took longer than `slow_search_seconds`."""

    at: datetime
    seconds: float
    parts: Mapping[str, float]
    """seconds by part"""
    plan: SearchPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing `doctor` looked at."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    """what to do when not ok"""
    required: bool = True
    """False for what only makes things better, such as the embedding model"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A local embedding model and whether its weights are here."""

    name: str
    dimensions: int
    max_tokens: int
    present: bool
    path: str = ""
    size_bytes: int = 0
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCheck:
    """What was found when a language model was looked at. `null` where it could not be told."""

    name: str
    """`provider:name`"""
    reachable: bool | None = None
    authorised: bool | None = None
    """the key is taken, or none is wanted"""
    present: bool | None = None
    """the provider has this model"""
    local: bool = False
    """on this machine"""
    tools: bool | None = None
    """calls tools by itself; others do in JSON"""
    json_schema: bool | None = None
    """is held to JSON schemas by its provider; others are asked in words, and checked"""
    images: bool | None = None
    seconds: float = 0.0
    problem: str = ""
    hint: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingValue:
    """One setting with its value and where it came from. Secrets are shown as their reference only."""

    name: str
    value: str
    origin: str
    """`default`, `environment INTELFORGE_X`, `flag` or the path of a TOML file"""
    description: str
    default: str


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

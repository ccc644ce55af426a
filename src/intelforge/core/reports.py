"""What the workspace tells its interfaces of itself: pure values, the same for CLI, API and web."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from intelforge.core.index_reports import VersionStatus
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
class SettingValue:
    """One setting with its value and where it came from. Secrets are shown as their reference only."""

    name: str
    value: str
    origin: str
    """`default`, `environment INTELFORGE_X`, `flag` or the path of a TOML file"""
    description: str
    default: str

"""The nouns of IntelForge as pure values; where they are kept is the business of `store` and `index`.

    Source ─collect▶ Item ─refine▶ Document ─refine▶ Chunk ─index▶ Hit ─answer▶ Passage ─answer▶ Answer

All offsets are counted in characters (Unicode code points) of the document's text, half-open: `text[start:end]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

EVERYONE = "*"
"""The principal that every caller has."""


class SourceKind(StrEnum):
    """How the items of a source are collected."""

    FOLDER = "folder"
    FILE = "file"
    GIT = "git"
    WEB = "web"


class ItemState(StrEnum):
    """Where an item stands: `ready` has a document, `skipped` was left out by rule, `failed` could not be read.

    `gone` is no longer at its source: it is in no answer, and its versions stay so that old citations resolve.
    """

    PENDING = "pending"
    READY = "ready"
    SKIPPED = "skipped"
    FAILED = "failed"
    GONE = "gone"


class Verdict(StrEnum):
    """Whether the cited passages carry a sentence of an answer."""

    SUPPORTED = "supported"
    PARTLY = "partly"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where items come from. `uri` is an absolute path or URL; `access` lists the principals who may see its items."""

    id: str
    kind: SourceKind
    uri: str
    options: Mapping[str, str] = field(default_factory=dict)
    access: tuple[str, ...] = (EVERYONE,)
    local_models_only: bool = False
    """what it holds may only go to models on this machine: to write answers, to embed and to rerank"""
    cursor: str | None = None
    """How far the last complete sync came, in the collector's own terms (a commit, an etag); None before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """Cheap facts that tell whether an item changed without reading it. Equal validators mean unchanged."""

    size: int | None = None
    """bytes"""
    mtime_ns: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    revision: str | None = None
    """git blob id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRef:
    """An item that is there, not yet fetched. `uri` is relative to its source (`lib/os.py`) or a URL."""

    uri: str
    validators: Validators = Validators()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One fetched thing: its bytes and what was said about them."""

    uri: str
    data: bytes
    media_type: str | None = None
    """as declared by the transport; None when nothing was declared"""
    validators: Validators = Validators()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A span of a document: `document.text[chunk.start:chunk.end] == chunk.text`."""

    id: str
    """`<document id>:<ordinal>`"""
    document_id: str
    ordinal: int
    start: int
    end: int
    text: str
    heading: str = ""
    """heading path (`Guide > Install`) or code symbol (`Task.cancel`)"""
    kind: str = "text"
    """text, code, table"""
    tokens: int = 0
    """in the embedder's tokens, special tokens not counted"""

    @property
    def embedding_text(self) -> str:
        """What is embedded: the heading gives the span its place."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a document can be found or withheld by: facts of all the items that are it now, not of its text."""

    labels: frozenset[str] = frozenset()
    """`principal:ann`, `source:<id>`, `kind:folder`, `language:python`, `type:text/markdown`, `tag:draft`"""
    modified: float = 0.0
    """when the newest of its items changed, in seconds since the epoch"""
    quality: float = 1.0
    """in [0, 1]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The text and structure got out of an item. `id` is the hash of text and media type, so equal texts are one."""

    id: str
    text: str
    media_type: str
    title: str = ""
    language: str = ""
    """ISO 639-1 of prose or the name of the programming language; empty when not known"""
    metadata: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[Chunk, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScore:
    """What one part of a search gave a hit. The weighed scores of all parts add up to the hit's score."""

    part: str
    """`lexical`, `vector`, `recency`, `quality`, `rerank`, or `likeness` to a hit above it, which counts against it"""
    score: float | None
    """as the part gave it; None when it did not find the hit"""
    scaled: float
    """to [0, 1] over the candidates"""
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk with the scores one search gave it, and where it is found today."""

    chunk: Chunk
    score: float
    """fused; higher is better; comparable within one search only"""
    scores: Mapping[str, float] = field(default_factory=dict)
    """by part: `lexical` (BM25) and `vector` (cosine to what is special about the query); absent where not found"""
    source_id: str = ""
    uri: str = ""
    """of the item within its source"""
    location: str = ""
    """what a user can open: absolute path or URL"""
    title: str = ""
    duplicates: tuple[str, ...] = ()
    """locations of other items with the same document"""
    first_line: int = 1
    last_line: int = 1
    """1-based, inclusive, in the document's text"""
    highlights: tuple[tuple[int, int], ...] = ()
    """the matched words, as spans of the chunk's text, in order and apart from each other"""
    explanation: tuple[PartScore, ...] = ()
    """why the score is what it is, when that was asked for"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A hit widened for reading and numbered for citing."""

    number: int
    document_id: str
    start: int
    end: int
    text: str
    location: str
    title: str
    first_line: int
    last_line: int
    heading: str = ""
    kind: str = "text"
    score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A place in a document version whose characters are `quote`: `document.text[start:end] == quote`."""

    number: int
    """of the passage"""
    document_id: str
    start: int
    end: int
    quote: str
    location: str
    first_line: int
    last_line: int

    @property
    def place(self) -> str:
        return f"{self.location}:{self.first_line}-{self.last_line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence of an answer with what it rests on."""

    text: str
    citations: tuple[Citation, ...] = ()
    verdict: Verdict = Verdict.SUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Sentences, each with citations and a verdict. No sentences means no evidence was found."""

    question: str
    sentences: tuple[Sentence, ...]
    passages: tuple[Passage, ...]
    model: str = "extractive"
    cost_usd: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    """by part: `search`, `answer`"""
    notes: tuple[str, ...] = ()
    """what the reader should know, for example that embeddings are not complete yet"""
    call: str = ""
    """of the router, by which the answer can be rated; empty when no router chose its model"""
    decision: Mapping[str, Any] | None = None
    """of the router: its reason in one sentence, and what it predicted of each model"""

    @property
    def found(self) -> bool:
        return bool(self.sentences)

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences) or "No evidence found."


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An item that was skipped or failed, with the reason."""

    source_id: str
    uri: str
    state: ItemState
    code: str
    reason: str
    at: datetime

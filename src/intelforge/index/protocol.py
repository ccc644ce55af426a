"""The contracts of the index: a vector store (lexical and vector search over chunks) and an embedder.

Everything here is derived from the database and can be thrown away and rebuilt.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from intelforge.core.index_reports import Tuning
from intelforge.core.values import Attributes, Chunk

Vectors = NDArray[np.float32]
"""Shape (n, dimensions), rows of unit length."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A chunk found by one search. Higher scores are better: BM25 for text, cosine for vectors."""

    chunk_id: str
    document_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Held:
    """How much a store holds, of one document or of all."""

    chunks: int
    vectors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which documents a search may find. All of its parts must hold; the empty one lets everything through."""

    any_of: tuple[frozenset[str], ...] = ()
    """groups of labels; a document must have at least one of each group"""
    none_of: frozenset[str] = frozenset()
    """labels a document must not have"""
    documents: frozenset[str] | None = None
    """ids; None for any"""
    since: float | None = None
    until: float | None = None
    """bounds of `modified`, in seconds since the epoch: from `since` on, before `until`"""
    least_quality: float = 0.0

    def admits(self, document_id: str, attributes: Attributes) -> bool:
        """The meaning of the filter."""
        return (
            all(group & attributes.labels for group in self.any_of)
            and not self.none_of & attributes.labels
            and (self.documents is None or document_id in self.documents)
            and (self.since is None or attributes.modified >= self.since)
            and (self.until is None or attributes.modified < self.until)
            and attributes.quality >= self.least_quality
        )


EVERYTHING = Filter()

About = Mapping[str, Attributes]
"""Attributes by document id; a document without any has no labels, so no principal may see it."""
NOTHING_KNOWN: About = MappingProxyType({})


def name_of_version(name: str, version: int) -> str:
    """What a folder, table or collection is called for a version of the index, the first of which is 1."""
    return name if version == 1 else f"{name}_{version}"


def folder_of_version(folder: Path, version: int) -> Path:
    """Where the index of a folder has that version."""
    return folder.parent / name_of_version(folder.name, version)


class VectorStore(Protocol):
    """Keeps chunks and their vectors, and finds them. All writes are idempotent by chunk id and durable on return.

    A backend is a factory `open_store(url, *, root, version=1, secrets=None)`: the versions of an index live side by
    side at one URL and know nothing of each other; a store whose key is not in the URL looks it up among the secrets by
    name, in the environment when there are none.
    """

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        """Makes chunks findable by text at once. Replaces chunks with the same id."""
        ...

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        """Adds vectors of chunks (id `<document id>:<ordinal>`); they are found by vector search at once."""
        ...

    async def describe(self, about: About) -> None:
        """Replaces the attributes of documents that are held; others are left out."""
        ...

    async def delete(self, document_ids: Collection[str]) -> None:
        """Removes the chunks and vectors of these documents."""
        ...

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        """The best chunks for a text (BM25) or a vector of shape (dimensions,) (cosine), best first.

        Only chunks of documents that `where` admits are looked at, so it costs no hits.
        """
        ...

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        """The vectors of these chunks by id, each of shape (dimensions,), as exact as they are kept.

        Chunks without one are left out.
        """
        ...

    async def count(self) -> Held:
        """How many chunks and vectors there are, cheaply."""
        ...

    async def inventory(self) -> Mapping[str, Held]:
        """What is held, by document id: the ground for verifying the index against the database."""
        ...

    async def maintain(self) -> None:
        """Folds recent writes into the search structures and compacts. Safe at any time; never blocks a search."""
        ...

    async def drop(self) -> None:
        """Removes all that this version holds, for good; other versions at the same URL stay as they are."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Tunable(Protocol):
    """A vector store that measures its approximate search and chooses its parameters by that.

    `maintain` does it unasked; this is for looking at it, and for doing it now.
    """

    async def tuning(self) -> Tuning:
        """What is in use, and what was measured when it was chosen. Cheap."""
        ...

    async def tune(self, *, apply: bool) -> Tuning:
        """Measures the candidates now, some seconds of reading; what is chosen is used from then on with `apply`."""
        ...


class TextKind(StrEnum):
    """What a text is to a search: some models turn the two into vectors differently."""

    DOCUMENT = "document"
    QUERY = "query"


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """Identifies model, weights and precision: vectors of equal names are comparable."""
        ...

    @property
    def dimensions(self) -> int:
        """0 before the first vectors of a model that is not known."""
        ...

    @property
    def at_once(self) -> int:
        """How many texts are well embedded in one call: enough to keep it busy, few enough to stop after."""
        ...

    @property
    def local(self) -> bool:
        """What it is given stays on this machine."""
        ...

    @property
    def tokenizer(self) -> Path | None:
        """The `tokenizer.json` in whose tokens chunks are sized; None when it is not known."""
        ...

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        """Vectors in the order of the texts, shape (len(texts), dimensions). Does not block the event loop.

        A text longer than the model reads is embedded in pieces, never cut. Raises ModelError.
        """
        ...

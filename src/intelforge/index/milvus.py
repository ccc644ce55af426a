"""The vector store `milvus://HOST` (a server, 2.5 or newer) or `milvus:FOLDER` (Milvus Lite: one process).

A server has two collections, one of words with Milvus's own BM25 and one of vectors. Words are kept as hashes, letters
and digits, so that no analyser takes them apart. Milvus Lite weighs a word anew in each of its segments, so in a folder
the words are in an SQLite file of their own.
"""

import importlib.util
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from intelforge.core.errors import BackendError
from intelforge.core.values import Attributes, Chunk
from intelforge.index.milvus_client import Collections, Milvus
from intelforge.index.protocol import (
    EVERYTHING,
    NOTHING_KNOWN,
    About,
    Filter,
    Held,
    Scored,
    Vectors,
    name_of_version,
)
from intelforge.index.server_url import (
    Server,
    read_place,
    wrong_dimensions,
)
from intelforge.index.sqlite_text import TextIndex
from intelforge.index.store_rules import (
    admits_nothing,
    check_limit,
    check_vectors,
    document_of,
    held_by_document,
    phrases_first,
    ranked,
)
from intelforge.index.words import label_key, query_phrases, query_words, word_keys, words
from intelforge.index.words_beside import WordsBeside

CHUNKS: Final = "intelforge_chunks"
VECTORS: Final = "intelforge_vectors"
PORT: Final = 19530
LONGEST_TEXT: Final = 3800
"""words; a field holds 65,535 bytes"""
MOST_HITS: Final = 16_384
"""that Milvus gives for one search"""
PHRASE_CANDIDATES: Final = 1000
"""chunks that hold all words of a quoted phrase and are looked through for it, best first"""


def open_store(
    url: str, *, root: Path, version: int = 1, secrets: Mapping[str, str] | None = None
) -> "MilvusStore | WordsBeside":
    """The store at the server or in the folder (relative to `root`) of the URL. Nothing is opened before `async with`.

    Raises ConfigError or InvalidInputError for a URL that names neither, BackendError when pymilvus is missing.
    """
    place = read_place(url, root=root, port=PORT, version=version, secrets=secrets)
    for package in ("pymilvus",) if isinstance(place, Server) else ("pymilvus", "milvus_lite"):
        if importlib.util.find_spec(package) is None:
            raise BackendError(
                f"the 'milvus' backend needs the package {package}", hint="pip install 'intelforge[milvus]'"
            )
    if isinstance(place, Server):
        return MilvusStore(Milvus(place), version=version)
    return WordsBeside(TextIndex(place / "words.sqlite"), MilvusStore(Milvus(place)))


class MilvusStore:
    """Chunks and vectors in Milvus. A server may be used by several tasks and processes at once."""

    def __init__(self, milvus: Milvus, *, version: int = 1) -> None:
        self._milvus = milvus
        self._chunks = name_of_version(CHUNKS, version)
        self._vectors = name_of_version(VECTORS, version)

    async def __aenter__(self) -> Self:
        await self._milvus.open()
        try:
            await self._milvus.do(self._load)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._milvus.close()

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        if not chunks:
            return
        last = {chunk.id: chunk for chunk in chunks}

        def upsert(collections: Collections) -> None:
            rows = [
                _row(key, about) | {"text": word_keys(words(chunk.embedding_text)[:LONGEST_TEXT])}
                for key, chunk in last.items()
            ]
            collections.make(self._chunks, 0)
            collections.upsert(self._chunks, rows)

        await self._milvus.do(upsert)

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        check_vectors(chunk_ids, vectors)
        if not len(chunk_ids):
            return
        last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
        kept = np.asarray(vectors, np.float32)

        def upsert(collections: Collections) -> None:
            held = collections.dimensions(self._vectors)
            if held and held != kept.shape[1]:
                if collections.count(self._vectors):
                    raise wrong_dimensions(self._milvus.place, held, kept.shape[1])
                collections.drop(self._vectors)
            collections.make(self._vectors, kept.shape[1])
            rows = [_row(key, about) | {"vector": kept[row].tolist()} for key, row in last.items()]
            collections.upsert(self._vectors, rows)

        await self._milvus.do(upsert)

    async def describe(self, about: About) -> None:
        if about:
            await self._milvus.do(lambda collections: self._describe(collections, about))

    async def delete(self, document_ids: Collection[str]) -> None:
        gone = _expression(Filter(documents=frozenset(document_ids)))

        def delete(collections: Collections) -> None:
            for name in collections.there(self._chunks, self._vectors):
                collections.delete(name, gone)

        if document_ids:
            await self._milvus.do(delete)

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        if admits_nothing(where):
            return []
        most = min(limit, MOST_HITS)
        if isinstance(query, str):
            hits = await self._milvus.do(lambda collections: self._matching(collections, query, most, where))
        else:
            hits = await self._milvus.do(lambda collections: self._nearest(collections, query, most, where))
        return ranked(hits, limit)

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        return await self._milvus.do(lambda collections: dict(collections.vectors(self._vectors, list(chunk_ids))))

    async def count(self) -> Held:
        chunks, vectors = await self._milvus.do(
            lambda collections: (collections.count(self._chunks), collections.count(self._vectors))
        )
        return Held(chunks, vectors)

    async def inventory(self) -> Mapping[str, Held]:
        def counted(collections: Collections) -> list[Counter[str]]:
            return [
                Counter(document_of(row["id"]) for row in collections.rows(name, "", ["id"]))
                for name in (self._chunks, self._vectors)
            ]

        chunks, vectors = await self._milvus.do(counted)
        return held_by_document(chunks, vectors)

    async def maintain(self) -> None:
        """Milvus folds what is written on its own."""

    async def drop(self) -> None:
        def drop(collections: Collections) -> None:
            for name in collections.there(self._chunks, self._vectors):
                collections.drop(name)

        await self._milvus.do(drop)

    def _load(self, collections: Collections) -> None:
        """What was made by an earlier process is on disk until it is asked for."""
        for name in collections.there(self._chunks, self._vectors):
            collections.load(name)

    def _describe(self, collections: Collections, about: About) -> None:
        where = _expression(Filter(documents=frozenset(about)))
        for name, field in ((self._chunks, "text"), (self._vectors, "vector")):
            rows = [dict(row) for row in collections.rows(name, where, ["id", field])]
            collections.upsert(name, [_row(row["id"], about) | {field: row[field]} for row in rows])

    def _matching(self, collections: Collections, query: str, limit: int, where: Filter) -> list[Scored]:
        wanted = query_words(query)
        if not wanted or not collections.there(self._chunks):
            return []
        asked, held = word_keys(wanted), dict[str, Scored]()
        found = collections.matching(self._chunks, asked, limit=limit, where=_expression(where))
        for phrase in map(word_keys, query_phrases(query)):
            every = [f"text_match(text, '{word}')" for word in phrase.split()]
            clauses = " and ".join(filter(None, [_expression(where), *every]))
            holding = collections.matching(self._chunks, asked, limit=PHRASE_CANDIDATES, where=clauses, text=True)
            held |= {hit.chunk_id: hit for hit, text in holding if f" {phrase} " in f" {text} "}
        return phrases_first([hit for hit, _ in found], held.values())

    def _nearest(self, collections: Collections, query: Vectors, limit: int, where: Filter) -> list[Scored]:
        held = collections.dimensions(self._vectors)
        if held and held != len(query):
            raise wrong_dimensions(self._milvus.place, held, len(query))
        asked = np.asarray(query, np.float32).tolist()
        return collections.nearest(self._vectors, asked, limit=limit, where=_expression(where)) if held else []


def _row(chunk_id: str, about: About) -> dict[str, Any]:
    document_id = document_of(chunk_id)
    attributes = about.get(document_id, Attributes())
    return {
        "id": chunk_id,
        "document": label_key(document_id),
        "labels": sorted(map(label_key, attributes.labels)),
        "modified": float(attributes.modified),
        "quality": float(attributes.quality),
    }


def _expression(where: Filter) -> str:
    """The filter as Milvus's; empty when everything passes. All text in it is hashed, all else are numbers."""
    clauses = [_has_any(group) for group in where.any_of]
    if where.none_of:
        clauses.append(f"not {_has_any(where.none_of)}")
    if where.documents is not None:
        clauses.append(f"document in {sorted(map(label_key, where.documents))}")
    if where.since is not None:
        clauses.append(f"modified >= {float(where.since)!r}")
    if where.until is not None:
        clauses.append(f"modified < {float(where.until)!r}")
    if where.least_quality > 0:
        clauses.append(f"quality >= {float(where.least_quality)!r}")
    return " and ".join(clauses)


def _has_any(labels: Collection[str]) -> str:
    return f"array_contains_any(labels, {sorted(map(label_key, labels))})"

"""The vector store `chroma://HOST` (a server) or `chroma:FOLDER` (Chroma's embedded mode: one process).

Chroma does not rank text. In a folder the words are in an SQLite file of their own, ranked by BM25. A server finds
words by its substring filter, and what it finds is ranked here: of a word that stands in more than MATCHES of the
admitted chunks, MATCHES of them, so a query of common words alone ranks a sample.
"""

import asyncio
import hashlib
import importlib.util
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from intelforge.core.errors import BackendError, StorageError
from intelforge.core.values import Attributes, Chunk
from intelforge.index.chroma_client import Folder, Service
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
from intelforge.index.server_url import Server, read_place, wrong_dimensions
from intelforge.index.sqlite_text import TextIndex
from intelforge.index.store_rules import (
    K1,
    B,
    admits_nothing,
    check_limit,
    check_vectors,
    document_of,
    held_by_document,
    ranked,
)
from intelforge.index.words import label_key, query_phrases, query_words, words
from intelforge.index.words_beside import WordsBeside

CHUNKS: Final = "intelforge_chunks"
VECTORS: Final = "intelforge_vectors"
PORT: Final = 8000
BATCH: Final = 1000
"""rows sent or asked for at once"""
MATCHES: Final = 500
"""chunks of one word that are looked at"""
ASKED: Final = 16
"""words of a query that are asked for, the longest: they tend to be the rarest"""
UNLABELLED: Final = "none"
"""stands for no labels: Chroma takes no empty lists"""


def open_store(
    url: str, *, root: Path, version: int = 1, secrets: Mapping[str, str] | None = None
) -> "ChromaStore | WordsBeside":
    """The store at the server or in the folder (relative to `root`) of the URL. Nothing is opened before `async with`.

    Raises ConfigError or InvalidInputError for a URL that names neither, BackendError when a folder is named and
    chromadb is missing.
    """
    place = read_place(url, root=root, port=PORT, version=version, secrets=secrets)
    if isinstance(place, Server):
        return ChromaStore(Service(place), version=version)
    if importlib.util.find_spec("chromadb") is None:
        raise BackendError("the 'chroma' backend needs the package chromadb", hint="pip install 'intelforge[chroma]'")
    return WordsBeside(TextIndex(place / "words.sqlite"), ChromaStore(Folder(place / "chroma")))


class ChromaStore:
    """Chunks and vectors in Chroma. A server may be used by several tasks and processes at once."""

    def __init__(self, client: Service | Folder, *, version: int = 1) -> None:
        self._client = client
        self._chunks = name_of_version(CHUNKS, version)
        self._vectors = name_of_version(VECTORS, version)
        self._making = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._client.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        if not chunks:
            return
        last = {chunk.id: chunk for chunk in chunks}
        texts = await asyncio.to_thread(lambda: [_spaced(words(chunk.embedding_text)) for chunk in last.values()])
        await self._client.make(self._chunks)
        await self._upsert(self._chunks, list(last), np.stack([_direction(key) for key in last]), about, texts)

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        check_vectors(chunk_ids, vectors)
        if not len(chunk_ids):
            return
        async with self._making:
            held = await self._client.dimensions(self._vectors)
            if held and held != vectors.shape[1]:
                if await self._client.count(self._vectors):
                    raise wrong_dimensions(self._client.place, held, vectors.shape[1])
                await self._client.drop(self._vectors)
            await self._client.make(self._vectors)
        last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
        given = (self._vectors, list(last), vectors[list(last.values())], about)
        try:
            await self._upsert(*given)
        except StorageError as error:
            if "dimension" not in error.message or await self._client.count(self._vectors):
                raise
            async with self._making:  # a collection that was emptied still holds to the dimensions it had
                await self._client.drop(self._vectors)
                await self._client.make(self._vectors)
                await self._upsert(*given)

    async def describe(self, about: About) -> None:
        if not about:
            return
        for name in self._names:
            described = {"document": {"$in": sorted(about)}}
            async for page in self._client.pages(name, where=described, include=[]):
                metadatas = [_metadata(key, about) for key in page["ids"]]
                await self._client.call(name, "update", ids=page["ids"], metadatas=metadatas)

    async def delete(self, document_ids: Collection[str]) -> None:
        if not document_ids:
            return
        for name in self._names:
            await self._client.call(name, "delete", where={"document": {"$in": sorted(set(document_ids))}})

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        if admits_nothing(where):
            return []
        hits = await (self._holding(query, where) if isinstance(query, str) else self._nearest(query, limit, where))
        return ranked(hits, limit)

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        ids, found = list(chunk_ids), dict[str, Vectors]()
        for start in range(0, len(ids), BATCH):
            page = await self._client.call(self._vectors, "get", ids=ids[start : start + BATCH], include=["embeddings"])
            if page and len(page["ids"]):
                found |= zip(page["ids"], np.asarray(page["embeddings"], np.float32), strict=True)
        return found

    async def count(self) -> Held:
        return Held(await self._client.count(self._chunks), await self._client.count(self._vectors))

    async def inventory(self) -> Mapping[str, Held]:
        counts = {self._chunks: Counter[str](), self._vectors: Counter[str]()}
        for name in self._names:
            async for page in self._client.pages(name, where=None, include=[]):
                counts[name].update(document_of(key) for key in page["ids"])
        chunks, vectors = counts[self._chunks], counts[self._vectors]
        return held_by_document(chunks, vectors)

    async def maintain(self) -> None:
        """Chroma folds what is written on its own."""

    async def drop(self) -> None:
        for name in self._names:
            await self._client.drop(name)

    @property
    def _names(self) -> tuple[str, ...]:
        """The collections in use."""
        return (self._chunks, self._vectors)

    async def _upsert(
        self, name: str, ids: list[str], vectors: Vectors, about: About, texts: "list[str] | None" = None
    ) -> None:
        for start in range(0, len(ids), BATCH):
            rows = slice(start, start + BATCH)
            given: dict[str, Any] = {"documents": texts[rows]} if texts else {}
            metadatas = [_metadata(key, about) for key in ids[rows]]
            embeddings = np.asarray(vectors[rows], np.float32).tolist()
            await self._client.call(name, "upsert", ids=ids[rows], embeddings=embeddings, metadatas=metadatas, **given)

    async def _nearest(self, query: Vectors, limit: int, where: Filter) -> list[Scored]:
        held = await self._client.dimensions(self._vectors)
        if held and held != len(query):
            raise wrong_dimensions(self._client.place, held, len(query))
        if not (count := min(limit, await self._client.count(self._vectors))):
            return []
        found = await self._client.call(
            self._vectors,
            "query",
            query_embeddings=[np.asarray(query, np.float32).tolist()],
            n_results=count,
            where=_where(where),
            include=["distances"],
        )
        if len(found["ids"][0]) < count and where != EVERYTHING:
            return await self._scanned(query, where)
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [Scored(key, document_of(key), 1 - distance) for key, distance in pairs]

    async def _scanned(self, query: Vectors, where: Filter) -> list[Scored]:
        """All that is admitted, exactly: Chroma's graph gives up before it has met the few that pass a filter."""
        hits: list[Scored] = []
        async for page in self._client.pages(self._vectors, where=_where(where), include=["embeddings"]):
            cosines = np.asarray(page["embeddings"], np.float32) @ query
            pairs = zip(page["ids"], cosines.tolist(), strict=True)
            hits += [Scored(key, document_of(key), cosine) for key, cosine in pairs]
        return hits

    async def _holding(self, query: str, where: Filter) -> list[Scored]:
        """Chunks that hold words of the query, ranked by BM25 among themselves."""
        wanted = Counter(query_words(query))
        asked = [[word] for word in sorted(wanted, key=lambda word: (-len(word), word))[:ASKED]]
        phrases = query_phrases(query)
        found = await asyncio.gather(*(self._having(each, where) for each in (*asked, *phrases)))
        held = {key: text.split() for texts in found for key, text in texts.items()}
        total = max(await self._client.count(self._chunks), len(held))
        rarity = {word: _idf(total, len(texts)) for [word], texts in zip(asked, found, strict=False)}
        average = sum(map(len, held.values())) / max(1, len(held))
        scores = {key: _bm25(Counter(text), len(text) / average, wanted, rarity) for key, text in held.items()}
        bonus = max(scores.values(), default=0.0)
        lifted = {key for texts in found[len(asked) :] for key in texts}
        return [Scored(key, document_of(key), scores[key] + bonus * (key in lifted)) for key in held]

    async def _having(self, sequence: Sequence[str], where: Filter) -> dict[str, str]:
        rows = self._client.call(
            self._chunks,
            "get",
            where=_where(where),
            where_document={"$contains": _spaced(sequence)},
            limit=MATCHES,
            include=["documents"],
        )
        found = await rows
        return dict(zip(found["ids"], found["documents"], strict=True)) if found else {}


def _spaced(found: Sequence[str]) -> str:
    """Words between spaces, so that each can be looked for with its bounds."""
    return f" {' '.join(found)} "


def _direction(chunk_id: str) -> Vectors:
    """A vector for a row that needs none: Chroma has no rows without, and equal ones make its graph slow."""
    angle = int.from_bytes(hashlib.blake2b(chunk_id.encode(), digest_size=4).digest(), "little") / 2**32 * 2 * math.pi
    return np.array([math.cos(angle), math.sin(angle)], np.float32)


def _metadata(chunk_id: str, about: About) -> dict[str, Any]:
    document_id = document_of(chunk_id)
    attributes = about.get(document_id, Attributes())
    return {
        "document": document_id,
        "labels": sorted(map(label_key, attributes.labels)) or [UNLABELLED],
        "modified": float(attributes.modified),
        "quality": float(attributes.quality),
    }


def _where(where: Filter) -> dict[str, Any] | None:
    """The filter as Chroma's; None when everything passes."""
    clauses: list[dict[str, Any]] = [
        _joined("$or", [{"labels": {"$contains": label_key(label)}} for label in sorted(group)])
        for group in where.any_of
    ]
    clauses += [{"labels": {"$not_contains": label_key(label)}} for label in sorted(where.none_of)]
    if where.documents is not None:
        clauses.append({"document": {"$in": sorted(where.documents)}})
    if where.since is not None:
        clauses.append({"modified": {"$gte": float(where.since)}})
    if where.until is not None:
        clauses.append({"modified": {"$lt": float(where.until)}})
    if where.least_quality > 0:
        clauses.append({"quality": {"$gte": float(where.least_quality)}})
    return _joined("$and", clauses) if clauses else None


def _joined(operator: str, clauses: list[dict[str, Any]]) -> dict[str, Any]:
    return clauses[0] if len(clauses) == 1 else {operator: clauses}


def _idf(total: int, holding: int) -> float:
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))


def _bm25(counts: Counter[str], length: float, wanted: Mapping[str, int], rarity: Mapping[str, float]) -> float:
    norm = K1 * (1 - B + B * length)
    return sum(wanted[word] * idf * counts[word] * (K1 + 1) / (counts[word] + norm) for word, idf in rarity.items())

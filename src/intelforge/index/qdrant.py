"""The vector store `qdrant://HOST` (a server) or `qdrant:FOLDER` (Qdrant's local mode: one process, for small trials).

Two collections, one of sparse vectors of words and one of dense ones. The words of a chunk weigh what BM25 gives them
but for the rarity, which Qdrant multiplies in when it searches; the average length of a chunk is taken as fixed.
"""

import asyncio
import hashlib
import importlib
import re
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from intelforge.core.errors import BackendError
from intelforge.core.values import Attributes, Chunk
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
from intelforge.index.qdrant_client import WORDS, Qdrant
from intelforge.index.server_url import Server, read_place, wrong_dimensions
from intelforge.index.store_rules import (
    K1,
    B,
    admits_nothing,
    check_limit,
    check_vectors,
    document_of,
    held_by_document,
    phrases_first,
    ranked,
)
from intelforge.index.words import label_key, query_phrases, query_words, words

CHUNKS: Final = "intelforge_chunks"
VECTORS: Final = "intelforge_vectors"
PORT: Final = 6333
AVERAGE_LENGTH: Final = 100
"""words of a chunk, as the default size of chunks gives"""
CANDIDATES: Final = 200
"""least number that a search in the graph keeps in view"""
MOST_DOCUMENTS: Final = 10_000_000
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def open_store(url: str, *, root: Path, version: int = 1, secrets: Mapping[str, str] | None = None) -> "QdrantStore":
    """The store at the server or in the folder (relative to `root`) of the URL. Nothing is opened before `async with`.

    Raises ConfigError or InvalidInputError for a URL that names neither, BackendError when qdrant-client is missing.
    """
    try:
        importlib.import_module("qdrant_client")
    except ImportError as error:
        raise BackendError(
            "the 'qdrant' backend needs the package qdrant-client", hint="pip install 'intelforge[qdrant]'"
        ) from error
    place = read_place(url, root=root, port=PORT, version=version, secrets=secrets)
    return QdrantStore(Qdrant(place), version if isinstance(place, Server) else 1)  # a version has a folder of its own


class QdrantStore:
    """Chunks and vectors in Qdrant. A server may be used by several tasks and processes at once."""

    def __init__(self, qdrant: Qdrant, version: int = 1) -> None:
        self._qdrant = qdrant
        self._chunks = name_of_version(CHUNKS, version)
        self._vectors = name_of_version(VECTORS, version)
        self._making = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._qdrant.open()
        try:
            await self._collections()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._qdrant.close()

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        from qdrant_client.models import PointStruct

        last = list({chunk.id: chunk for chunk in chunks}.values())
        if not last:
            return
        await self._qdrant.make(self._chunks, 0)
        folded = await asyncio.to_thread(lambda: [words(chunk.embedding_text) for chunk in last])
        await self._qdrant.upsert(
            self._chunks,
            [
                PointStruct(
                    id=_point(chunk.id),
                    vector={WORDS: _sparse(found)} if found else {},
                    payload=_payload(chunk.id, about) | {"text": " ".join(found)},
                )
                for chunk, found in zip(last, folded, strict=True)
            ],
        )

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        from qdrant_client.models import PointStruct

        check_vectors(chunk_ids, vectors)
        if not len(chunk_ids):
            return
        async with self._making:
            held = await self._qdrant.dimensions(self._vectors)
            if held and held != vectors.shape[1]:
                if (await self.count()).vectors:
                    raise wrong_dimensions(self._qdrant.place, held, vectors.shape[1])
                await self._qdrant.call(self._vectors, "delete_collection")
            await self._qdrant.make(self._vectors, vectors.shape[1])
        last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
        points = [
            PointStruct(id=_point(key), vector=vectors[row].tolist(), payload=_payload(key, about))
            for key, row in last.items()
        ]
        await self._qdrant.upsert(self._vectors, points)

    async def describe(self, about: About) -> None:
        alike: dict[Attributes, set[str]] = {}
        for document_id, attributes in about.items():
            alike.setdefault(attributes, set()).add(document_id)
        for name in await self._collections():
            for attributes, document_ids in alike.items():
                await self._qdrant.call(
                    name,
                    "set_payload",
                    payload=_attributes(attributes),
                    points=_filter(Filter(documents=frozenset(document_ids))),
                )

    async def delete(self, document_ids: Collection[str]) -> None:
        if document_ids:
            gone = _filter(Filter(documents=frozenset(document_ids)))
            for name in await self._collections():
                await self._qdrant.call(name, "delete", points_selector=gone)

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        if admits_nothing(where):
            return []
        hits = await (
            self._search_text(query, limit, where)
            if isinstance(query, str)
            else self._search_vector(query, limit, where)
        )
        return ranked(hits, limit)

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        points = await self._qdrant.points(self._vectors, list(map(_point, chunk_ids)))
        return {point.payload["id"]: np.asarray(point.vector, np.float32) for point in points}

    async def count(self) -> Held:
        counts = {name: (await self._qdrant.call(name, "count")).count for name in await self._collections()}
        return Held(counts.get(self._chunks, 0), counts.get(self._vectors, 0))

    async def inventory(self) -> Mapping[str, Held]:
        found: dict[str, dict[str, int]] = {self._chunks: {}, self._vectors: {}}
        for name in await self._collections():
            held = await self._qdrant.call(name, "facet", key="document", limit=MOST_DOCUMENTS, exact=True)
            found[name] = {_document(str(hit.value)): hit.count for hit in held.hits}
        chunks, vectors = found[self._chunks], found[self._vectors]
        return held_by_document(chunks, vectors)

    async def maintain(self) -> None:
        """Qdrant folds what is written on its own."""

    async def drop(self) -> None:
        for name in await self._collections():
            await self._qdrant.call(name, "delete_collection")

    async def _search_text(self, query: str, limit: int, where: Filter) -> list[Scored]:
        wanted = Counter(query_words(query))
        if not wanted:
            return []
        asked = {"query": _weighted(dict(wanted)), "using": WORDS, "limit": limit}
        found = await self._query(self._chunks, _filter(where), asked)
        if not (phrases := [" ".join(phrase) for phrase in query_phrases(query)]):
            return found
        held = await self._query(self._chunks, _filter(where, phrases), asked)
        return phrases_first(found, held)

    async def _search_vector(self, query: Vectors, limit: int, where: Filter) -> list[Scored]:
        from qdrant_client.models import SearchParams

        held = await self._qdrant.dimensions(self._vectors)
        if held and held != len(query):
            raise wrong_dimensions(self._qdrant.place, held, len(query))
        asked: dict[str, Any] = {"query": query.tolist(), "limit": limit}
        if self._qdrant.is_server:
            asked["search_params"] = SearchParams(hnsw_ef=max(CANDIDATES, 2 * limit))
        return await self._query(self._vectors, _filter(where), asked) if held else []

    async def _query(self, name: str, where: Any, asked: Mapping[str, Any]) -> list[Scored]:
        given = {"query_filter": where, "with_payload": ["id", "document"], **asked}
        answer = await self._qdrant.answer(name, "query_points", given)
        points = answer.points if answer else []
        return [Scored(point.payload["id"], point.payload["document"], point.score) for point in points]

    async def _collections(self) -> list[str]:
        return await self._qdrant.there(self._chunks, self._vectors)


def _point(chunk_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, chunk_id))


def _document(counted: str) -> str:
    """The id of a document that was counted: the local mode takes 32 hexadecimal digits for a UUID and adds hyphens."""
    return counted.replace("-", "") if _UUID.fullmatch(counted) else counted


def _payload(chunk_id: str, about: About) -> dict[str, Any]:
    document_id = document_of(chunk_id)
    return {"id": chunk_id, "document": document_id} | _attributes(about.get(document_id, Attributes()))


def _attributes(attributes: Attributes) -> dict[str, Any]:
    return {
        "labels": sorted(map(label_key, attributes.labels)),
        "modified": attributes.modified,
        "quality": attributes.quality,
    }


def _filter(where: Filter, phrases: Sequence[str] = ()) -> Any:
    """The filter as Qdrant's; with phrases, for those that hold at least one."""
    from qdrant_client import models

    def among(key: str, values: Collection[str]) -> Any:
        return models.FieldCondition(key=key, match=models.MatchAny(any=sorted(values)))

    must: list[Any] = [among("labels", set(map(label_key, group))) for group in where.any_of]
    if where.documents is not None:
        must.append(among("document", where.documents))
    if where.since is not None or where.until is not None:
        must.append(models.FieldCondition(key="modified", range=models.Range(gte=where.since, lt=where.until)))
    if where.least_quality > 0:
        must.append(models.FieldCondition(key="quality", range=models.Range(gte=where.least_quality)))
    holding: list[Any] = [
        models.FieldCondition(key="text", match=models.MatchPhrase(phrase=phrase)) for phrase in phrases
    ]
    must_not = [among("labels", set(map(label_key, where.none_of)))] if where.none_of else []
    return models.Filter(must=must or None, must_not=must_not or None, should=holding or None)


def _sparse(found: Sequence[str]) -> Any:
    """What BM25 gives each word of a chunk but for its rarity."""
    norm = K1 * (1 - B + B * len(found) / AVERAGE_LENGTH)
    return _weighted({word: times * (K1 + 1) / (times + norm) for word, times in Counter(found).items()})


def _weighted(weights: Mapping[str, float]) -> Any:
    from qdrant_client.models import SparseVector

    by_index: dict[int, float] = {}
    for word, weight in weights.items():
        by_index[_index(word)] = by_index.get(_index(word), 0.0) + weight
    return SparseVector(indices=list(by_index), values=list(by_index.values()))


@lru_cache(1 << 17)
def _index(word: str) -> int:
    """32 bits, the dimension of the word among all words."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "little")

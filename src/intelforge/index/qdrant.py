"""The vector store `qdrant://HOST` (a server) or `qdrant:FOLDER` (Qdrant's local mode: one process, for small trials).

Two collections, one of sparse vectors of words and one of dense ones. The words of a chunk weigh what BM25 gives them
but for the rarity, which Qdrant multiplies in when it searches; the average length of a chunk is taken as fixed.
"""

import asyncio
import hashlib
import importlib
import sqlite3
import threading
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from intelforge.core.errors import BackendError, BusyError, ErrorCode, StorageError
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
from intelforge.index.server_url import TIMEOUT, Server, read_place, refused, too_slow, unreachable, wrong_dimensions
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
WORDS: Final = "words"
PORT: Final = 6333
AVERAGE_LENGTH: Final = 100
"""words of a chunk, as the default size of chunks gives"""
BATCH: Final = 500
"""points sent at once"""
CANDIDATES: Final = 200
"""least number that a search in the graph keeps in view"""
MOST_DOCUMENTS: Final = 10_000_000
INDICES: Final = (("labels", "keyword"), ("document", "keyword"), ("modified", "float"), ("quality", "float"))


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
    return QdrantStore(place, version) if isinstance(place, Server) else QdrantStore(place)


class QdrantStore:
    """Chunks and vectors in Qdrant. A server may be used by several tasks and processes at once."""

    def __init__(self, place: Server | Path, version: int = 1) -> None:
        self._at = place
        self._chunks = name_of_version(CHUNKS, version)
        self._vectors = name_of_version(VECTORS, version)
        self._place = place.place if isinstance(place, Server) else str(place)
        self._client: Any = None
        self._lock = threading.Lock()
        self._making = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._client = await asyncio.to_thread(_client, self._at)
        try:
            await self._collections()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client and isinstance(self._at, Server):
            await client.close()
        elif client:
            await asyncio.to_thread(client.close)

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        from qdrant_client.models import PointStruct

        last = list({chunk.id: chunk for chunk in chunks}.values())
        if not last:
            return
        await self._make(self._chunks, 0)
        folded = await asyncio.to_thread(lambda: [words(chunk.embedding_text) for chunk in last])
        await self._upsert(
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
            held = await self._dimensions()
            if held and held != vectors.shape[1]:
                if (await self.count()).vectors:
                    raise wrong_dimensions(self._place, held, vectors.shape[1])
                await self._call("delete_collection", collection_name=self._vectors)
            await self._make(self._vectors, vectors.shape[1])
        last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
        points = [
            PointStruct(id=_point(key), vector=vectors[row].tolist(), payload=_payload(key, about))
            for key, row in last.items()
        ]
        await self._upsert(self._vectors, points)

    async def describe(self, about: About) -> None:
        alike: dict[Attributes, set[str]] = {}
        for document_id, attributes in about.items():
            alike.setdefault(attributes, set()).add(document_id)
        for name in await self._collections():
            for attributes, document_ids in alike.items():
                await self._call(
                    "set_payload",
                    collection_name=name,
                    payload=_attributes(attributes),
                    points=_filter(Filter(documents=frozenset(document_ids))),
                )

    async def delete(self, document_ids: Collection[str]) -> None:
        if document_ids:
            gone = _filter(Filter(documents=frozenset(document_ids)))
            for name in await self._collections():
                await self._call("delete", collection_name=name, points_selector=gone)

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
        ids, found = list(map(_point, chunk_ids)), dict[str, Vectors]()
        for start in range(0, len(ids), BATCH):
            asked = {"ids": ids[start : start + BATCH], "with_payload": ["id"], "with_vectors": True}
            points = await self._there(self._vectors, "retrieve", asked) or []
            found |= {point.payload["id"]: np.asarray(point.vector, np.float32) for point in points}
        return found

    async def count(self) -> Held:
        counts = {name: (await self._call("count", collection_name=name)).count for name in await self._collections()}
        return Held(counts.get(self._chunks, 0), counts.get(self._vectors, 0))

    async def inventory(self) -> Mapping[str, Held]:
        found: dict[str, dict[str, int]] = {self._chunks: {}, self._vectors: {}}
        for name in await self._collections():
            held = await self._call("facet", collection_name=name, key="document", limit=MOST_DOCUMENTS, exact=True)
            found[name] = {str(hit.value): hit.count for hit in held.hits}
        chunks, vectors = found[self._chunks], found[self._vectors]
        return held_by_document(chunks, vectors)

    async def maintain(self) -> None:
        """Qdrant folds what is written on its own."""

    async def drop(self) -> None:
        for name in await self._collections():
            await self._call("delete_collection", collection_name=name)

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

        held = await self._dimensions()
        if held and held != len(query):
            raise wrong_dimensions(self._place, held, len(query))
        asked: dict[str, Any] = {"query": query.tolist(), "limit": limit}
        if isinstance(self._at, Server):
            asked["search_params"] = SearchParams(hnsw_ef=max(CANDIDATES, 2 * limit))
        return await self._query(self._vectors, _filter(where), asked) if held else []

    async def _query(self, name: str, where: Any, asked: Mapping[str, Any]) -> list[Scored]:
        given = {"query_filter": where, "with_payload": ["id", "document"], **asked}
        answer = await self._there(name, "query_points", given)
        points = answer.points if answer else []
        return [Scored(point.payload["id"], point.payload["document"], point.score) for point in points]

    async def _there(self, name: str, method: str, given: Mapping[str, Any]) -> Any:
        """What the collection answers; None when there is none."""
        try:
            return await self._call(method, collection_name=name, **given)
        except StorageError:
            if not await self._call("collection_exists", collection_name=name):
                return None
        return await self._call(method, collection_name=name, **given)  # made meanwhile, or the same error again

    async def _upsert(self, name: str, points: Sequence[Any]) -> None:
        for start in range(0, len(points), BATCH):
            await self._call("upsert", collection_name=name, points=points[start : start + BATCH])

    async def _collections(self) -> list[str]:
        return [
            name
            for name in (self._chunks, self._vectors)
            if await self._call("collection_exists", collection_name=name)
        ]

    async def _dimensions(self) -> int:
        """Of the vectors that are held; 0 when there are none."""
        found = await self._there(self._vectors, "get_collection", {})
        return int(found.config.params.vectors.size) if found else 0

    async def _make(self, name: str, dimensions: int) -> None:
        """Makes the collection unless it is there, or another process is first."""
        from qdrant_client import models

        if await self._call("collection_exists", collection_name=name):
            return
        dense = models.VectorParams(
            size=dimensions or 1, distance=models.Distance.COSINE, datatype=models.Datatype.FLOAT16
        )
        sparse = {WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)}
        try:
            await self._call(
                "create_collection",
                collection_name=name,
                vectors_config=dense if dimensions else {},
                sparse_vectors_config=None if dimensions else sparse,
            )
        except StorageError:
            if not await self._call("collection_exists", collection_name=name):
                raise
        if isinstance(self._at, Server):  # the local mode has no use for indices
            fields: list[tuple[str, Any]] = [*INDICES]
            if not dimensions:
                fields.append(("text", _text_index()))
            for field, schema in fields:
                await self._call("create_payload_index", collection_name=name, field_name=field, field_schema=schema)

    async def _call(self, method: str, **arguments: Any) -> Any:
        """One request. What the local mode does is done in a thread, one at a time."""
        import httpx
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        if self._client is None:
            raise StorageError(f"the index {self._place} is not open", code=ErrorCode.INTERNAL)
        try:
            if isinstance(self._at, Server):
                return await getattr(self._client, method)(**arguments)
            return await asyncio.to_thread(self._locally, method, arguments)
        except UnexpectedResponse as error:
            raise refused(self._place, error.status_code or 0, error.content.decode("utf-8", "replace")) from error
        except ResponseHandlingException as error:
            if isinstance(error.source, ValueError):
                raise refused(self._place, 200, "no JSON") from error
            slow = isinstance(error.source, httpx.ReadTimeout | httpx.WriteTimeout)
            raise (too_slow if slow else unreachable)(self._place) from error
        except (ValueError, OSError, sqlite3.Error) as error:  # the local mode's
            raise refused(self._place, 0, str(error)) from error

    def _locally(self, method: str, arguments: Mapping[str, Any]) -> Any:
        with self._lock:
            return getattr(self._client, method)(**arguments)


def _client(place: Server | Path) -> Any:
    from qdrant_client import AsyncQdrantClient, QdrantClient

    if isinstance(place, Server):
        key = {"api-key": place.key} if place.key else {}
        return AsyncQdrantClient(
            url=place.http, headers=key, timeout=TIMEOUT, check_compatibility=False, trust_env=False
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
        return QdrantClient(path=str(place), force_disable_check_same_thread=True)
    except RuntimeError as error:
        raise BusyError(
            f"the index {place} is open in another process", hint="close that one, or run a Qdrant server"
        ) from error
    except OSError as error:
        raise StorageError(f"the index {place} cannot be opened: {error.strerror}", hint="check the folder") from error


def _text_index() -> Any:
    from qdrant_client.models import TextIndexParams, TextIndexType, TokenizerType

    return TextIndexParams(
        type=TextIndexType.TEXT, tokenizer=TokenizerType.WHITESPACE, lowercase=False, phrase_matching=True
    )


def _point(chunk_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, chunk_id))


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

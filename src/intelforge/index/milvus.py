"""The vector store `milvus://HOST` (a server, 2.5 or newer) or `milvus:FOLDER` (Milvus Lite: one process).

A server has two collections, one of words with Milvus's own BM25 and one of vectors. Words are kept as hashes, letters
and digits, so that no analyser takes them apart. Milvus Lite weighs a word anew in each of its segments, so in a folder
the words are in an SQLite file of their own.
"""

import asyncio
import importlib.util
import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from intelforge.core.errors import BackendError, ErrorCode, StorageError
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
from intelforge.index.server_url import (
    FULL,
    KEY,
    TIMEOUT,
    Server,
    full,
    read_place,
    too_slow,
    unreachable,
    wrong_dimensions,
)
from intelforge.index.sqlite_text import TextIndex
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
from intelforge.index.words import label_key, query_phrases, query_words, word_keys, words

CHUNKS: Final = "intelforge_chunks"
VECTORS: Final = "intelforge_vectors"
PORT: Final = 19530
LONGEST_TEXT: Final = 3800
"""words; a field holds 65,535 bytes"""
LONGEST_ID: Final = 512
MOST_LABELS: Final = 4096
MOST_HITS: Final = 16_384
"""that Milvus gives for one search"""
PHRASE_CANDIDATES: Final = 1000
"""chunks that hold all words of a quoted phrase and are looked through for it, best first"""
BATCH: Final = 1000
"""rows sent or asked for at once"""
GRPC_OPTIONS: Final = {"grpc.keepalive_time_ms": 300_000, "grpc.keepalive_permit_without_calls": False}
"""Idle connections are asked whether they live as seldom as a gRPC server allows unless it says otherwise."""
CONNECT_SECONDS: Final = 10


def open_store(url: str, *, root: Path, version: int = 1, secrets: Mapping[str, str] | None = None) -> "MilvusStore":
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
        return MilvusStore(place, version=version)
    return MilvusStore(place, TextIndex(place / "words.sqlite"))


class MilvusStore:
    """Chunks and vectors in Milvus. A server may be used by several tasks and processes at once."""

    def __init__(self, place: Server | Path, text: TextIndex | None = None, *, version: int = 1) -> None:
        self._at = place
        self._text = text
        self._chunks = name_of_version(CHUNKS, version)
        self._vectors = name_of_version(VECTORS, version)
        self._place = place.place if isinstance(place, Server) else str(place)
        self._client: Any = None
        self._making = threading.Lock()

    async def __aenter__(self) -> Self:
        self._client = await asyncio.to_thread(self._connect)
        try:
            if self._text:
                await asyncio.to_thread(self._text.open)
            await self._do(self._load)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client:
            await asyncio.to_thread(client.close)
        if self._text:
            self._text.close()

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        if not chunks:
            return
        if self._text:
            await asyncio.to_thread(self._text.add, chunks, about)
            return
        last = {chunk.id: chunk for chunk in chunks}

        def upsert(client: Any) -> None:
            rows = [
                _row(key, about) | {"text": word_keys(words(chunk.embedding_text)[:LONGEST_TEXT])}
                for key, chunk in last.items()
            ]
            self._make(client, self._chunks, 0)
            _upsert(client, self._chunks, rows)

        await self._do(upsert)

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        check_vectors(chunk_ids, vectors)
        if not len(chunk_ids):
            return
        last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
        kept = np.asarray(vectors, np.float32)

        def upsert(client: Any) -> None:
            held = _dimensions(client, self._vectors)
            if held and held != kept.shape[1]:
                if _count(client, self._vectors):
                    raise wrong_dimensions(self._place, held, kept.shape[1])
                client.drop_collection(self._vectors)
            self._make(client, self._vectors, kept.shape[1])
            rows = [_row(key, about) | {"vector": kept[row].tolist()} for key, row in last.items()]
            _upsert(client, self._vectors, rows)

        await self._do(upsert)

    async def describe(self, about: About) -> None:
        if about and self._text:
            await asyncio.to_thread(self._text.describe, about)
        if about:
            await self._do(lambda client: self._describe(client, about))

    async def delete(self, document_ids: Collection[str]) -> None:
        gone = _expression(Filter(documents=frozenset(document_ids)))

        def delete(client: Any) -> None:
            for name in self._names(client):
                client.delete(name, filter=gone, timeout=TIMEOUT)

        if document_ids and self._text:
            await asyncio.to_thread(self._text.delete, document_ids)
        if document_ids:
            await self._do(delete)

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        if admits_nothing(where):
            return []
        most = min(limit, MOST_HITS)
        if isinstance(query, str) and self._text:
            hits = await asyncio.to_thread(self._text.search, query, limit=limit, where=where)
        elif isinstance(query, str):
            hits = await self._do(lambda client: _search_text(client, self._chunks, query, most, where))
        else:
            hits = await self._do(lambda client: self._search_vector(client, query, most, where))
        return ranked(hits, limit)

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        return dict(await self._do(lambda client: list(_vectors(client, self._vectors, list(chunk_ids)))))

    async def similar(self, word: str, *, where: Filter) -> list[str]:
        """As `spelling.FuzzyText` says; a server has no way to tell, and gives none."""
        return await asyncio.to_thread(self._text.similar, word, where=where) if self._text else []

    async def count(self) -> Held:
        chunks, vectors = await self._do(
            lambda client: [_count(client, name) for name in (self._chunks, self._vectors)]
        )
        return Held(await asyncio.to_thread(self._text.count) if self._text else chunks, vectors)

    async def inventory(self) -> Mapping[str, Held]:
        def counted(client: Any) -> list[Counter[str]]:
            return [
                Counter(document_of(row["id"]) for row in _rows(client, name, "", ["id"]))
                for name in (self._chunks, self._vectors)
            ]

        chunks, vectors = await self._do(counted)
        if self._text:
            chunks = Counter(await asyncio.to_thread(self._text.inventory))
        return held_by_document(chunks, vectors)

    async def maintain(self) -> None:
        """Milvus folds what is written on its own."""
        if self._text:
            await asyncio.to_thread(self._text.maintain)

    async def drop(self) -> None:
        def drop(client: Any) -> None:
            for name in self._names(client):
                client.drop_collection(name)

        if self._text:
            await asyncio.to_thread(self._text.empty)
        await self._do(drop)

    def _names(self, client: Any) -> list[str]:
        return [name for name in (self._chunks, self._vectors) if client.has_collection(name)]

    def _load(self, client: Any) -> None:
        """What was made by an earlier process is on disk until it is asked for."""
        for name in self._names(client):
            client.load_collection(name)

    def _describe(self, client: Any, about: About) -> None:
        where = _expression(Filter(documents=frozenset(about)))
        for name, field in ((self._chunks, "text"), (self._vectors, "vector")):
            rows = [dict(row) for row in _rows(client, name, where, ["id", field])]
            _upsert(client, name, [_row(row["id"], about) | {field: row[field]} for row in rows])

    def _search_vector(self, client: Any, query: Vectors, limit: int, where: Filter) -> list[Scored]:
        held = _dimensions(client, self._vectors)
        if held and held != len(query):
            raise wrong_dimensions(self._place, held, len(query))
        asked = np.asarray(query, np.float32).tolist()
        return (
            [hit for hit, _ in _search(client, self._vectors, "vector", asked, limit=limit, where=_expression(where))]
            if held
            else []
        )

    def _make(self, client: Any, name: str, dimensions: int) -> None:
        """Makes the collection unless it is there, or another process is first."""
        with self._making:
            if client.has_collection(name):
                return
            schema, indices = _layout(dimensions)
            try:
                client.create_collection(name, schema=schema, index_params=indices, consistency_level="Strong")
            except Exception:
                if not client.has_collection(name):
                    raise
                client.load_collection(name)

    def _connect(self) -> Any:
        from pymilvus import MilvusClient

        if isinstance(self._at, Server):
            return self._translated(
                lambda: MilvusClient(
                    uri=self._at.http,  # type: ignore[union-attr]
                    token=self._at.key,  # type: ignore[union-attr]
                    timeout=CONNECT_SECONDS,
                    grpc_options=GRPC_OPTIONS,
                )
            )
        try:
            self._at.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the index {self._at} cannot be made: {error.strerror}", hint="check it") from error
        return self._translated(lambda: MilvusClient(uri=f"{self._at}/milvus.db", grpc_options=GRPC_OPTIONS))

    async def _do(self, work: Callable[[Any], Any]) -> Any:
        """In a thread: the library blocks."""
        if self._client is None:
            raise StorageError(f"the index {self._place} is not open", code=ErrorCode.INTERNAL)
        return await asyncio.to_thread(self._translated, lambda: work(self._client))

    def _translated(self, work: Callable[[], Any]) -> Any:
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException

        try:
            return work()
        except (MilvusException, RpcError) as error:
            said = str(error)
            if any(sign in said for sign in ("auth", "permission deny", "UNAUTHENTICATED")):
                raise StorageError(
                    f"the index {self._place} refuses the key",
                    hint=f"set {KEY} to USER:PASSWORD or a token that may write",
                    code=ErrorCode.REFUSED,
                ) from error
            if any(sign in said for sign in ("Fail connecting", "UNAVAILABLE")):
                raise unreachable(self._place) from error
            if any(sign in said for sign in ("DEADLINE_EXCEEDED", "Deadline Exceeded", "timeout")):
                raise too_slow(self._place) from error
            if FULL.search(said):
                raise full(self._place) from error
            raise StorageError(
                f"the index {self._place} cannot be used ({said[:200]})",
                hint="drop its collections that begin with intelforge, then run: intelforge sync (it rebuilds them)",
                code=ErrorCode.DAMAGED,
            ) from error


def _layout(dimensions: int) -> tuple[Any, Any]:
    """Fields and indices: of words when there are no dimensions, else of vectors."""
    from pymilvus import DataType, Function, FunctionType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=LONGEST_ID)
    schema.add_field("document", DataType.VARCHAR, max_length=16)
    schema.add_field("labels", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MOST_LABELS, max_length=16)
    schema.add_field("modified", DataType.DOUBLE)
    schema.add_field("quality", DataType.DOUBLE)
    indices = MilvusClient.prepare_index_params()
    if dimensions:
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
        indices.add_index("vector", index_type="AUTOINDEX", metric_type="COSINE")
        return schema, indices
    schema.add_field("text", DataType.VARCHAR, max_length=65_535, enable_analyzer=True, enable_match=True)
    schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(
        Function(name="bm25", function_type=FunctionType.BM25, input_field_names=["text"], output_field_names=["words"])
    )
    given = {"bm25_k1": K1, "bm25_b": B}
    indices.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=given)
    return schema, indices


def _dimensions(client: Any, name: str) -> int:
    """Of the vectors that are held; 0 when there are none."""
    if not client.has_collection(name):
        return 0
    fields = client.describe_collection(name)["fields"]
    return next(int(field["params"]["dim"]) for field in fields if field["name"] == "vector")


def _upsert(client: Any, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), BATCH):
        client.upsert(name, rows[start : start + BATCH], timeout=TIMEOUT)


def _rows(client: Any, name: str, where: str, fields: list[str]) -> Iterator[Mapping[str, Any]]:
    if not client.has_collection(name):
        return
    pages = client.query_iterator(name, batch_size=BATCH, filter=where, output_fields=fields)
    while page := pages.next():
        yield from page
    pages.close()


def _count(client: Any, name: str) -> int:
    if not client.has_collection(name):
        return 0
    return int(client.query(name, filter="", output_fields=["count(*)"], timeout=TIMEOUT)[0]["count(*)"])


def _vectors(client: Any, name: str, ids: list[str]) -> Iterator[tuple[str, Vectors]]:
    if not client.has_collection(name):
        return
    for start in range(0, len(ids), BATCH):
        asked = f"id in {json.dumps(ids[start : start + BATCH], ensure_ascii=False)}"
        found = client.query(name, filter=asked, output_fields=["id", "vector"], timeout=TIMEOUT)
        yield from ((row["id"], np.asarray(row["vector"], np.float32)) for row in found)


def _search_text(client: Any, name: str, query: str, limit: int, where: Filter) -> list[Scored]:
    wanted = query_words(query)
    if not wanted or not client.has_collection(name):
        return []
    found = [hit for hit, _ in _search(client, name, "words", word_keys(wanted), limit=limit, where=_expression(where))]
    held: dict[str, Scored] = {}
    for phrase in map(word_keys, query_phrases(query)):
        every = [f"text_match(text, '{word}')" for word in phrase.split()]
        clauses = " and ".join(filter(None, [_expression(where), *every]))
        holding = _search(client, name, "words", word_keys(wanted), limit=PHRASE_CANDIDATES, where=clauses, text=True)
        for hit, text in holding:
            if f" {phrase} " in f" {text} ":
                held[hit.chunk_id] = hit
    return phrases_first(found, held.values())


def _search(
    client: Any, name: str, field: str, asked: Any, *, limit: int, where: str, text: bool = False
) -> list[tuple[Scored, str]]:
    """Hits with their texts, which are empty unless asked for. Milvus Lite gives BM25 negated."""
    found = client.search(
        name,
        data=[asked],
        anns_field=field,
        limit=limit,
        filter=where,
        output_fields=["text"] if text else [],
        timeout=TIMEOUT,
    )
    return [
        (Scored(hit["id"], document_of(hit["id"]), _score(hit["distance"], field)), hit["entity"].get("text", ""))
        for hit in found[0]
    ]


def _score(distance: float, field: str) -> float:
    return abs(distance) if field == "words" else distance


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

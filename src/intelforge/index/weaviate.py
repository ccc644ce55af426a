"""The vector store `weaviate://HOST`: a server, by its HTTP interface.

Two collections, one of words with Weaviate's own BM25 and one of vectors. Words are kept as hashes, letters and digits,
so that no tokeniser takes them apart and no query can be taken for syntax.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from intelforge.core.errors import StorageError
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
from intelforge.index.server_url import read_server, wrong_dimensions
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
from intelforge.index.weaviate_client import BATCH, MOST_HITS, WeaviateClient, Where, dimensions_of
from intelforge.index.words import label_key, query_phrases, query_words, word_key, word_keys, words

CHUNKS: Final = "IntelforgeChunks"
VECTORS: Final = "IntelforgeVectors"
PORT: Final = 8080
PHRASE_CANDIDATES: Final = 1000
"""chunks that hold all words of a quoted phrase and are looked through for it, best first"""


def open_store(url: str, *, root: Path, version: int = 1, secrets: Mapping[str, str] | None = None) -> "WeaviateStore":
    """The store at the server of the URL; the root has nothing to say. Nothing is connected to before `async with`.

    Raises ConfigError for a URL that names no server.
    """
    return WeaviateStore(WeaviateClient(read_server(url, port=PORT, secrets=secrets)), version)


class WeaviateStore:
    """Chunks and vectors in Weaviate. May be used by several tasks and processes at once."""

    def __init__(self, client: WeaviateClient, version: int = 1) -> None:
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
        texts = await asyncio.to_thread(lambda: [word_keys(words(chunk.embedding_text)) for chunk in last.values()])
        async with self._making:
            await self._client.make(_layout(self._chunks, 0))
        await self._client.put(
            [_object(self._chunks, key, about, text=text) for key, text in zip(last, texts, strict=True)]
        )

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        check_vectors(chunk_ids, vectors)
        if not len(chunk_ids):
            return
        kept = np.asarray(vectors, np.float32)
        async with self._making:
            held = dimensions_of(await self._client.layout(self._vectors))
            if held and held != kept.shape[1]:
                if await self._client.count(self._vectors):
                    raise wrong_dimensions(self._client.place, held, kept.shape[1])
                await self._client.drop(self._vectors)
            await self._client.make(_layout(self._vectors, kept.shape[1]))
        last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
        await self._client.put(
            [_object(self._vectors, key, about, vector=kept[row].tolist()) for key, row in last.items()]
        )

    async def describe(self, about: About) -> None:
        alike: dict[Attributes, list[str]] = {}
        for document_id, attributes in about.items():
            alike.setdefault(attributes, []).append(document_id)
        for attributes, document_ids in alike.items():
            for some in _batches(document_ids):
                for name in (self._chunks, self._vectors):
                    await self._describe(name, some, attributes, about)

    async def delete(self, document_ids: Collection[str]) -> None:
        for some in _batches(sorted(set(document_ids))):
            keys = list(map(label_key, some))
            where = {"path": ["document"], "operator": "ContainsAny", "valueTextArray": keys}
            for name in (self._chunks, self._vectors):
                await self._client.delete(name, where)

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        if admits_nothing(where):
            return []
        most = min(limit, MOST_HITS)
        hits = await (
            self._search_text(query, most, where) if isinstance(query, str) else self._nearest(query, most, where)
        )
        return ranked(hits, limit)

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        found: dict[str, Vectors] = {}
        for some in _batches(list(chunk_ids)):
            where = {"path": ["id"], "operator": "ContainsAny", "valueText": list(map(_uuid, some))}
            rows = await self._client.get(self._vectors, "key _additional { vector }", where=where, limit=len(some))
            found |= {row["key"]: np.asarray(row["_additional"]["vector"], np.float32) for row in rows}
        return found

    async def count(self) -> Held:
        return Held(await self._client.count(self._chunks), await self._client.count(self._vectors))

    async def inventory(self) -> Mapping[str, Held]:
        chunks, vectors = [
            Counter([document_of(each["key"]) async for each in self._client.every(name)])
            for name in (self._chunks, self._vectors)
        ]
        return held_by_document(chunks, vectors)

    async def maintain(self) -> None:
        """Weaviate folds what is written on its own."""

    async def drop(self) -> None:
        for name in (self._chunks, self._vectors):
            await self._client.drop(name)

    async def _describe(self, name: str, document_ids: list[str], attributes: Attributes, about: About) -> None:
        """Writes anew what is described otherwise, until there is none: a search gives only so many at once."""
        others = _all_of(
            [
                {"path": ["document"], "operator": "ContainsAny", "valueText": list(map(label_key, document_ids))},
                {"path": ["about"], "operator": "NotEqual", "valueText": _mark(attributes)},
            ]
        )
        fields = "key text" if name == self._chunks else "key _additional { vector }"
        while rows := await self._client.get(name, fields, where=others, limit=BATCH):
            await self._client.put(
                [
                    _object(
                        name, row["key"], about, text=row.get("text"), vector=row.get("_additional", {}).get("vector")
                    )
                    for row in rows
                ]
            )

    async def _search_text(self, query: str, limit: int, where: Filter) -> list[Scored]:
        wanted = query_words(query)
        if not wanted:
            return []
        asked = {"query": word_keys(wanted), "properties": ["text"]}
        found = [
            _hit(row) for row in await self._client.get(self._chunks, HIT, bm25=asked, where=_where(where), limit=limit)
        ]
        held: dict[str, Scored] = {}
        for phrase in query_phrases(query):
            every = {"path": ["text"], "operator": "ContainsAll", "valueText": list(map(word_key, phrase))}
            rows = await self._client.get(
                self._chunks, f"text {HIT}", bm25=asked, where=_where(where, every), limit=PHRASE_CANDIDATES
            )
            held |= {row["key"]: _hit(row) for row in rows if f" {word_keys(phrase)} " in f" {row['text']} "}
        return phrases_first(found, held.values())

    async def _nearest(self, query: Vectors, limit: int, where: Filter) -> list[Scored]:
        asked = {"vector": np.asarray(query, np.float32).tolist()}
        fields = "key _additional { distance }"
        try:
            rows = await self._client.get(self._vectors, fields, nearVector=asked, where=_where(where), limit=limit)
        except StorageError as error:
            held = dimensions_of(await self._client.layout(self._vectors))
            if held and held != len(query):
                raise wrong_dimensions(self._client.place, held, len(query)) from error
            raise
        return [Scored(row["key"], document_of(row["key"]), 1 - float(row["_additional"]["distance"])) for row in rows]


HIT: Final = "key _additional { score }"


def _layout(name: str, dimensions: int) -> dict[str, Any]:
    """A collection of words when there are no dimensions, else of vectors; they stand last in its description."""

    def prop(called: str, kind: str, **given: Any) -> dict[str, Any]:
        return {"name": called, "dataType": [kind], "indexFilterable": True, **given}

    as_it_is = {"tokenization": "field", "indexSearchable": False}
    properties = [
        prop("key", "text", **as_it_is) | {"indexFilterable": False},
        prop("document", "text", **as_it_is),
        prop("about", "text", **as_it_is),
        prop("labels", "text[]", **as_it_is),
        prop("modified", "number"),
        prop("quality", "number"),
    ]
    if not dimensions:
        properties.append(prop("text", "text", tokenization="whitespace", indexSearchable=True))
    return {
        "class": name,
        "description": f"IntelForge: vectors of {dimensions} dimensions" if dimensions else "IntelForge: words",
        "vectorizer": "none",
        "vectorIndexConfig": {"distance": "cosine"} if dimensions else {"skip": True},
        "invertedIndexConfig": {"bm25": {"k1": K1, "b": B}, "stopwords": {"preset": "none"}},
        "properties": properties,
    }


def _object(
    name: str, chunk_id: str, about: About, *, text: str | None = None, vector: list[float] | None = None
) -> dict[str, Any]:
    document_id = document_of(chunk_id)
    attributes = about.get(document_id, Attributes())
    properties: dict[str, Any] = {
        "key": chunk_id,
        "document": label_key(document_id),
        "about": _mark(attributes),
        "labels": sorted(map(label_key, attributes.labels)),
        "modified": float(attributes.modified),
        "quality": float(attributes.quality),
    }
    whole: dict[str, Any] = {"class": name, "id": _uuid(chunk_id), "properties": properties}
    if text is not None:
        properties["text"] = text
    return whole if vector is None else whole | {"vector": vector}


def _where(where: Filter, *more: Where) -> Where | None:
    """The filter as Weaviate's; None when everything passes. All text in it is hashed, all else are numbers."""

    def labelled(operator: str, value: "str | list[str]") -> Where:
        return {"path": ["labels"], "operator": operator, "valueText": value}

    clauses = [labelled("ContainsAny", sorted(map(label_key, group))) for group in where.any_of]
    clauses += [labelled("NotEqual", label_key(label)) for label in sorted(where.none_of)]
    if where.documents is not None:
        keys = sorted(map(label_key, where.documents))
        clauses.append({"path": ["document"], "operator": "ContainsAny", "valueText": keys})
    numbers = (
        ("modified", "GreaterThanEqual", where.since),
        ("modified", "LessThan", where.until),
        ("quality", "GreaterThanEqual", where.least_quality or None),
    )
    clauses += [
        {"path": [name], "operator": operator, "valueNumber": float(value)}
        for name, operator, value in numbers
        if value is not None
    ]
    return _all_of([*clauses, *more]) if clauses or more else None


def _all_of(clauses: list[Where]) -> Where:
    return clauses[0] if len(clauses) == 1 else {"operator": "And", "operands": clauses}


def _hit(row: Mapping[str, Any]) -> Scored:
    return Scored(row["key"], document_of(row["key"]), float(row["_additional"]["score"]))


def _batches(ids: list[str]) -> Iterator[list[str]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _mark(attributes: Attributes) -> str:
    """What tells one description from another."""
    return label_key(repr((sorted(attributes.labels), float(attributes.modified), float(attributes.quality))))


def _uuid(chunk_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, chunk_id))

"""The few operations of Milvus that the store uses, on a server or in a folder by Milvus Lite.

Its library blocks, so what is asked of it runs in a thread.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from intelforge.core.errors import ErrorCode, StorageError
from intelforge.index.protocol import Scored, Vectors
from intelforge.index.server_url import FULL, KEY, TIMEOUT, Server, full, too_slow, unreachable
from intelforge.index.store_rules import K1, B, document_of

LONGEST_ID: Final = 512
MOST_LABELS: Final = 4096
BATCH: Final = 1000
"""rows sent or asked for at once"""
GRPC_OPTIONS: Final = {"grpc.keepalive_time_ms": 300_000, "grpc.keepalive_permit_without_calls": False}
"""Idle connections are asked whether they live as seldom as a gRPC server allows unless it says otherwise."""
CONNECT_SECONDS: Final = 10

Result = TypeVar("Result")


class Collections:
    """What an open Milvus holds. Its methods block, and raise the library's own errors."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._making = threading.Lock()

    def there(self, *names: str) -> list[str]:
        """Those of these collections that there are."""
        return [name for name in names if self._client.has_collection(name)]

    def load(self, name: str) -> None:
        self._client.load_collection(name)

    def make(self, name: str, dimensions: int) -> None:
        """Makes the collection unless it is there, or another process is first."""
        with self._making:
            if self.there(name):
                return
            schema, indices = _layout(dimensions)
            try:
                self._client.create_collection(name, schema=schema, index_params=indices, consistency_level="Strong")
            except Exception:
                if not self.there(name):
                    raise
                self.load(name)

    def drop(self, name: str) -> None:
        self._client.drop_collection(name)

    def dimensions(self, name: str) -> int:
        """Of the vectors that are held; 0 when there are none."""
        if not self.there(name):
            return 0
        fields = self._client.describe_collection(name)["fields"]
        return next(int(field["params"]["dim"]) for field in fields if field["name"] == "vector")

    def count(self, name: str) -> int:
        if not self.there(name):
            return 0
        return int(self._client.query(name, filter="", output_fields=["count(*)"], timeout=TIMEOUT)[0]["count(*)"])

    def upsert(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(rows), BATCH):
            self._client.upsert(name, rows[start : start + BATCH], timeout=TIMEOUT)

    def delete(self, name: str, where: str) -> None:
        self._client.delete(name, filter=where, timeout=TIMEOUT)

    def rows(self, name: str, where: str, fields: list[str]) -> Iterator[Mapping[str, Any]]:
        if not self.there(name):
            return
        pages = self._client.query_iterator(name, batch_size=BATCH, filter=where, output_fields=fields)
        while page := pages.next():
            yield from page
        pages.close()

    def vectors(self, name: str, ids: Sequence[str]) -> Iterator[tuple[str, Vectors]]:
        if not self.there(name):
            return
        for start in range(0, len(ids), BATCH):
            asked = f"id in {json.dumps(list(ids[start : start + BATCH]), ensure_ascii=False)}"
            found = self._client.query(name, filter=asked, output_fields=["id", "vector"], timeout=TIMEOUT)
            yield from ((row["id"], np.asarray(row["vector"], np.float32)) for row in found)

    def matching(
        self, name: str, words: str, *, limit: int, where: str, text: bool = False
    ) -> list[tuple[Scored, str]]:
        """Hits by BM25 with their texts, which are empty unless asked for. Milvus Lite gives BM25 negated."""
        found = self._search(name, "words", words, limit=limit, where=where, fields=["text"] if text else [])
        return [(_scored(hit, abs(hit["distance"])), hit["entity"].get("text", "")) for hit in found]

    def nearest(self, name: str, vector: list[float], *, limit: int, where: str) -> list[Scored]:
        """Hits by cosine."""
        found = self._search(name, "vector", vector, limit=limit, where=where, fields=[])
        return [_scored(hit, hit["distance"]) for hit in found]

    def _search(self, name: str, field: str, asked: Any, *, limit: int, where: str, fields: list[str]) -> Any:
        return self._client.search(
            name, data=[asked], anns_field=field, limit=limit, filter=where, output_fields=fields, timeout=TIMEOUT
        )[0]

    def close(self) -> None:
        self._client.close()


class Milvus:
    """A server, or a folder."""

    def __init__(self, at: Server | Path) -> None:
        self.place = at.place if isinstance(at, Server) else str(at)
        self._at = at
        self._collections: Collections | None = None

    async def open(self) -> None:
        self._collections = Collections(await asyncio.to_thread(self._connect))

    async def close(self) -> None:
        collections, self._collections = self._collections, None
        if collections:
            await asyncio.to_thread(collections.close)

    async def do(self, work: Callable[[Collections], Result]) -> Result:
        """What the work gives, done in a thread. Raises StorageError, also when it is not open."""
        collections = self._collections
        if collections is None:
            raise StorageError(f"the index {self.place} is not open", code=ErrorCode.INTERNAL)
        return await asyncio.to_thread(translated, self.place, lambda: work(collections))

    def _connect(self) -> Any:
        from pymilvus import MilvusClient

        if isinstance(at := self._at, Server):
            given = {"token": at.key, "timeout": CONNECT_SECONDS, "grpc_options": GRPC_OPTIONS}
            return translated(self.place, lambda: MilvusClient(uri=at.http, **given))
        try:
            at.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the index {at} cannot be made: {error.strerror}", hint="check it") from error
        return translated(self.place, lambda: MilvusClient(uri=f"{at}/milvus.db", grpc_options=GRPC_OPTIONS))


def translated(place: str, work: Callable[[], Result]) -> Result:
    """What the work gives, with what the library raises as a StorageError."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        return work()
    except (MilvusException, RpcError) as error:
        said = str(error)
        if any(sign in said for sign in ("auth", "permission deny", "UNAUTHENTICATED")):
            raise StorageError(
                f"the index {place} refuses the key",
                hint=f"set {KEY} to USER:PASSWORD or a token that may write",
                code=ErrorCode.REFUSED,
            ) from error
        if any(sign in said for sign in ("Fail connecting", "UNAVAILABLE")):
            raise unreachable(place) from error
        if any(sign in said for sign in ("DEADLINE_EXCEEDED", "Deadline Exceeded", "timeout")):
            raise too_slow(place) from error
        if FULL.search(said):
            raise full(place) from error
        raise StorageError(
            f"the index {place} cannot be used ({said[:200]})",
            hint="drop its collections that begin with intelforge, then run: intelforge sync (it rebuilds them)",
            code=ErrorCode.DAMAGED,
        ) from error


def _scored(hit: Mapping[str, Any], score: float) -> Scored:
    return Scored(hit["id"], document_of(hit["id"]), score)


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

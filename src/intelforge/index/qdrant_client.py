"""The few operations of Qdrant that the store uses, on a server or in a folder by Qdrant's local mode."""

import asyncio
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from intelforge.core.errors import BusyError, ErrorCode, StorageError
from intelforge.index.server_url import TIMEOUT, Server, refused, too_slow, unreachable

BATCH: Final = 500
"""points sent at once"""
INDICES: Final = (("labels", "keyword"), ("document", "keyword"), ("modified", "float"), ("quality", "float"))
WORDS: Final = "words"


class Qdrant:
    """A server, or a folder that this process alone has open."""

    def __init__(self, at: Server | Path) -> None:
        self.place = at.place if isinstance(at, Server) else str(at)
        self._at = at
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def is_server(self) -> bool:
        return isinstance(self._at, Server)

    async def open(self) -> None:
        self._client = await asyncio.to_thread(_open, self._at)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client and isinstance(self._at, Server):
            await client.close()
        elif client:
            await asyncio.to_thread(client.close)

    async def there(self, *names: str) -> list[str]:
        """Those of these collections that there are."""
        return [name for name in names if await self.call(name, "collection_exists")]

    async def dimensions(self, name: str) -> int:
        """Of the vectors that are held; 0 when there are none."""
        found = await self.answer(name, "get_collection", {})
        return int(found.config.params.vectors.size) if found else 0

    async def make(self, name: str, dimensions: int) -> None:
        """Makes the collection unless it is there, or another process is first."""
        from qdrant_client import models

        if await self.call(name, "collection_exists"):
            return
        dense = models.VectorParams(
            size=dimensions or 1, distance=models.Distance.COSINE, datatype=models.Datatype.FLOAT16
        )
        sparse = {WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)}
        try:
            await self.call(
                name,
                "create_collection",
                vectors_config=dense if dimensions else {},
                sparse_vectors_config=None if dimensions else sparse,
            )
        except StorageError:
            if not await self.call(name, "collection_exists"):
                raise
        if isinstance(self._at, Server):  # the local mode has no use for indices
            fields: list[tuple[str, Any]] = [*INDICES]
            if not dimensions:
                fields.append(("text", _text_index()))
            for field, schema in fields:
                await self.call(name, "create_payload_index", field_name=field, field_schema=schema)

    async def upsert(self, name: str, points: Sequence[Any]) -> None:
        for start in range(0, len(points), BATCH):
            await self.call(name, "upsert", points=points[start : start + BATCH])

    async def points(self, name: str, ids: Sequence[str]) -> list[Any]:
        """Those of these points that there are, with their vectors and the ids of their chunks."""
        found: list[Any] = []
        for start in range(0, len(ids), BATCH):
            asked = {"ids": ids[start : start + BATCH], "with_payload": ["id"], "with_vectors": True}
            found += await self.answer(name, "retrieve", asked) or []
        return found

    async def answer(self, name: str, method: str, given: Mapping[str, Any]) -> Any:
        """What the collection answers; None when there is none."""
        try:
            return await self.call(name, method, **given)
        except StorageError:
            if not await self.call(name, "collection_exists"):
                return None
        return await self.call(name, method, **given)  # made meanwhile, or the same error again

    async def call(self, name: str, method: str, **given: Any) -> Any:
        """One request to a collection. What the local mode does is done in a thread, one at a time."""
        import httpx
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        if self._client is None:
            raise StorageError(f"the index {self.place} is not open", code=ErrorCode.INTERNAL)
        try:
            if isinstance(self._at, Server):
                return await getattr(self._client, method)(collection_name=name, **given)
            return await asyncio.to_thread(self._locally, name, method, given)
        except UnexpectedResponse as error:
            raise refused(self.place, error.status_code or 0, error.content.decode("utf-8", "replace")) from error
        except ResponseHandlingException as error:
            if isinstance(error.source, ValueError):
                raise refused(self.place, 200, "no JSON") from error
            slow = isinstance(error.source, httpx.ReadTimeout | httpx.WriteTimeout)
            raise (too_slow if slow else unreachable)(self.place) from error
        except (ValueError, OSError, sqlite3.Error) as error:  # the local mode's
            raise refused(self.place, 0, str(error)) from error

    def _locally(self, name: str, method: str, given: Mapping[str, Any]) -> Any:
        with self._lock:
            return getattr(self._client, method)(collection_name=name, **given)


def _open(place: Server | Path) -> Any:
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

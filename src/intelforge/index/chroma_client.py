"""The few operations of Chroma that the store uses, on a server over HTTP and in a folder by its own library."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from intelforge.core.errors import ErrorCode, StorageError
from intelforge.index.rest import Rest
from intelforge.index.server_url import FULL, Server, full

PAGE: Final = 1000
GRAPH: Final = {"hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200}}
TENANT: Final = "/api/v2/tenants/default_tenant/databases/default_database/collections"
"""Chroma's version 2 API, which its servers have had since 0.6"""


class Chroma(ABC):
    """What both ways have in common. `call` takes what Chroma's API takes, by the same names."""

    place: str

    @abstractmethod
    async def call(self, name: str, method: str, **given: Any) -> Any:
        """None when there is no such collection."""

    async def pages(self, name: str, *, where: dict[str, Any] | None, include: list[str]) -> AsyncIterator[Any]:
        """What `get` gives, some rows at a time."""
        offset = 0
        while found := await self.call(name, "get", where=where, limit=PAGE, offset=offset, include=include):
            if found["ids"]:
                yield found
            if len(found["ids"]) < PAGE:
                return
            offset += PAGE

    async def count(self, name: str) -> int:
        return int(await self.call(name, "count") or 0)

    async def dimensions(self, name: str) -> int:
        """Of the vectors that are held; 0 when there are none."""
        found = await self.call(name, "get", limit=1, include=["embeddings"])
        vectors = found["embeddings"] if found else []
        return len(vectors[0]) if len(vectors) else 0


class Service(Chroma):
    """A server."""

    def __init__(self, server: Server) -> None:
        self.place = server.place
        self._rest = Rest(server, {"x-chroma-token": server.key} if server.key else {})

    async def open(self) -> None:
        await self._rest.__aenter__()
        try:
            await self._rest.ask("GET", "/api/v2/heartbeat")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._rest.__aexit__(None, None, None)

    async def make(self, name: str) -> None:
        body = {"name": name, "get_or_create": True, "configuration": GRAPH}
        await self._rest.ask("POST", TENANT, body)

    async def drop(self, name: str) -> None:
        await self._rest.ask("DELETE", f"{TENANT}/{name}")

    async def call(self, name: str, method: str, **given: Any) -> Any:
        found = await self._rest.ask("GET", f"{TENANT}/{name}")
        if found is None:
            return None
        verb = "GET" if method == "count" else "POST"
        body = {key: value for key, value in given.items() if value is not None}
        return await self._rest.ask(verb, f"{TENANT}/{found['id']}/{method}", body or None)


class Folder(Chroma):
    """A folder that this process alone has open. Its library blocks, so each call is a thread's."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder
        self._client: Any = None
        self._lock = threading.Lock()

    async def open(self) -> None:
        self._client = await asyncio.to_thread(self._open)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client:
            await asyncio.to_thread(client.close)

    async def make(self, name: str) -> None:
        await asyncio.to_thread(
            self._locked,
            lambda client: client.get_or_create_collection(name, embedding_function=None, configuration=GRAPH),
        )

    async def drop(self, name: str) -> None:
        await asyncio.to_thread(self._locked, lambda client: self._drop(client, name))

    async def call(self, name: str, method: str, **given: Any) -> Any:
        return await asyncio.to_thread(self._locked, lambda client: self._call(client, name, method, given))

    def _drop(self, client: Any, name: str) -> None:
        from chromadb.errors import NotFoundError

        with suppress(NotFoundError):
            client.delete_collection(name)

    def _call(self, client: Any, name: str, method: str, given: dict[str, Any]) -> Any:
        from chromadb.errors import NotFoundError

        try:
            collection = client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None
        return getattr(collection, method)(**given)

    def _locked(self, work: Any) -> Any:
        if self._client is None:
            raise StorageError(f"the index {self._folder} is not open", code=ErrorCode.INTERNAL)
        from chromadb.errors import ChromaError

        try:
            with self._lock:
                return work(self._client)
        except ChromaError as error:
            raise self._damaged(error) from error

    def _open(self) -> Any:
        from chromadb import PersistentClient
        from chromadb.config import Settings
        from chromadb.errors import ChromaError

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return PersistentClient(self._folder, settings=Settings(anonymized_telemetry=False))
        except OSError as error:
            raise StorageError(
                f"the index {self._folder} cannot be opened: {error.strerror}", hint="check it"
            ) from error
        except (ChromaError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StorageError:
        if FULL.search(str(error)):
            return full(self.place)
        return StorageError(
            f"the index {self._folder} cannot be used ({str(error)[:200]})",
            hint="delete that folder and run: intelforge sync (it rebuilds the index from the database)",
            code=ErrorCode.DAMAGED,
        )

"""The few operations of Weaviate that the store uses: objects by REST, searches by GraphQL.

What goes into a GraphQL query is numbers, ids and hashes; no text of a user or a document is ever part of one.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from intelforge.core.errors import ErrorCode, StorageError
from intelforge.index.rest import Rest
from intelforge.index.server_url import Server, refused

BATCH: Final = 500
"""objects sent or asked for at once"""
MOST_HITS: Final = 10_000
"""that Weaviate gives for one search (QUERY_MAXIMUM_RESULTS)"""
DISABLED: Final = "graphql api is disabled"
"""what a server says whose searches cannot be asked for this way"""

Where = dict[str, Any]
"""A filter as Weaviate's: `operator` with `operands`, or with `path` and a value."""


class WeaviateClient:
    """A server."""

    def __init__(self, server: Server) -> None:
        self.place = server.place
        self._rest = Rest(server, {"authorization": f"Bearer {server.key}"} if server.key else {})

    async def open(self) -> None:
        await self._rest.__aenter__()
        try:
            await self._rest.ask("GET", "/v1/meta")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._rest.__aexit__(None, None, None)

    async def layout(self, name: str) -> Mapping[str, Any] | None:
        """The schema of a collection; None when there is none."""
        found: Mapping[str, Any] | None = await self._rest.ask("GET", f"/v1/schema/{name}")
        return found

    async def make(self, layout: Mapping[str, Any]) -> None:
        """Makes the collection unless it is there, or another process is first."""
        if await self.layout(layout["class"]):
            return
        try:
            await self._rest.ask("POST", "/v1/schema", layout)
        except StorageError:
            if not await self.layout(layout["class"]):
                raise

    async def drop(self, name: str) -> None:
        if await self.layout(name):
            await self._rest.ask("DELETE", f"/v1/schema/{name}")

    async def put(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Adds objects, each in the place of the one with its id."""
        for start in range(0, len(objects), BATCH):
            answers = await self._rest.ask("POST", "/v1/batch/objects", {"objects": objects[start : start + BATCH]})
            for answer in answers:
                if errors := (answer.get("result") or {}).get("errors"):
                    raise refused(self.place, 200, str(errors["error"][0]["message"]))

    async def delete(self, name: str, where: Where) -> None:
        """One request removes as many as the server takes at once, so it is sent until none is left."""
        body = {"match": {"class": name, "where": where}, "output": "minimal"}
        while await self.layout(name):
            results = (await self._rest.ask("DELETE", "/v1/batch/objects", body))["results"]
            if results["failed"]:
                raise refused(self.place, 200, f"{results['failed']} objects were not deleted")
            if results["matches"] <= results["limit"]:
                return

    async def get(self, name: str, fields: str, **arguments: Any) -> list[dict[str, Any]]:
        """What a search finds; nothing when there is no such collection."""
        given = ", ".join(f"{key}: {graphql(value)}" for key, value in arguments.items() if value is not None)
        found = await self._asked(name, f"{{ Get {{ {name}({given}) {{ {fields} }} }} }}")
        return found["Get"][name] if found else []

    async def count(self, name: str) -> int:
        found = await self._asked(name, f"{{ Aggregate {{ {name} {{ meta {{ count }} }} }} }}")
        return int(found["Aggregate"][name][0]["meta"]["count"]) if found else 0

    async def every(self, name: str) -> AsyncIterator[Mapping[str, Any]]:
        """The properties of all objects."""
        last = "" if await self.layout(name) else None
        while last is not None:
            page = await self._rest.ask("GET", f"/v1/objects?class={name}&limit={BATCH}&after={last}")
            objects = page["objects"] if page else []
            for each in objects:
                yield each["properties"]
            last = objects[-1]["id"] if len(objects) == BATCH else None

    async def _asked(self, name: str, query: str) -> Any:
        """None when there is no such collection, which GraphQL calls an error among others."""
        try:
            answer = await self._rest.ask("POST", "/v1/graphql", {"query": query})
            if errors := answer.get("errors"):
                raise refused(self.place, 200, str(errors[0]["message"]))
        except StorageError as error:
            if DISABLED in str(error).lower():
                raise StorageError(
                    f"the index {self.place} has its GraphQL interface switched off",
                    hint="set DISABLE_GRAPHQL=false on that server",
                    code=ErrorCode.UNSUPPORTED,
                ) from error
            if error.error_code is not ErrorCode.DAMAGED or await self.layout(name):
                raise
            return None
        return answer["data"]


def graphql(value: Any, key: str = "") -> str:
    """A value as GraphQL writes it: as JSON, but for the names of fields and operators."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {graphql(each, name)}' for name, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(graphql, value))}]"
    return str(value) if key == "operator" else json.dumps(value, ensure_ascii=False)


def dimensions_of(layout: Mapping[str, Any] | None) -> int:
    """Of the vectors of a collection, as its description says; 0 when there is none."""
    with suppress(ValueError, IndexError):
        return int(str((layout or {}).get("description", "")).split()[-2])
    return 0

"""Requests to an index that is served over HTTP, through the guarded way out, to that one host."""

from types import TracebackType
from typing import Any, Self

import httpx2

from intelforge.core.errors import EgressError, ErrorCode, StorageError
from intelforge.index.server_url import TIMEOUT, Server, refused, too_slow, unreachable
from intelforge.security.egress import Egress


class Rest:
    """JSON over HTTP. Raises StorageError for whatever goes wrong. Use as `async with`."""

    def __init__(self, server: Server, headers: "dict[str, str] | None" = None) -> None:
        host = f"[{server.host}]" if ":" in server.host else server.host
        self._server = server
        self._headers = headers or {}
        self._egress = Egress(allow_hosts=[f"{host}:{server.port}"])
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._client = self._egress.client(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client:
            await client.aclose()
        await self._egress.close()

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON; None when it is empty, or when what was asked for is not there."""
        if self._client is None:
            raise StorageError(f"the index {self._server.place} is not open", code=ErrorCode.INTERNAL)
        try:
            answer = await self._client.request(method, self._server.http + path, json=body, headers=self._headers)
        except httpx2.ConnectTimeout as error:
            raise unreachable(self._server.place) from error
        except httpx2.TimeoutException as error:
            raise too_slow(self._server.place) from error
        except (httpx2.HTTPError, EgressError) as error:
            raise unreachable(self._server.place) from error
        if answer.status_code == 404:
            return None
        if answer.status_code >= 300:
            raise refused(self._server.place, answer.status_code, answer.text)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise refused(self._server.place, answer.status_code, "no JSON") from error

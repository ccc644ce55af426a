"""What the doubles of model APIs share: a loopback socket, failures to send first, and a client that ends there."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx2

from intelforge.testing.model_server import ModelServer, ServerReply, ServerRequest


@dataclass(kw_only=True)
class ApiDouble(ABC):
    """One server. Use as `async with`; what it replies is its kind's to say."""

    failures: list[ServerReply] = field(default_factory=list)
    """sent first, one for each request"""

    async def __aenter__(self) -> Self:
        self._server = await ModelServer(self.respond).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def requests(self) -> list[ServerRequest]:
        return self._server.requests

    def client(self) -> httpx2.AsyncClient:
        """A client that brings every request here, whatever its host, which the `host` header keeps."""
        return rerouted(self.url)

    def respond(self, request: ServerRequest) -> ServerReply:
        return self.failures.pop(0) if self.failures else self.reply(request)

    @abstractmethod
    def reply(self, request: ServerRequest) -> ServerReply:
        """To a request that is not to fail."""


def rerouted(url: str) -> httpx2.AsyncClient:
    """A client that brings every request to one server, whatever its host, which the `host` header keeps."""
    return httpx2.AsyncClient(transport=_Rerouted(url), trust_env=False, timeout=20)


class _Rerouted(httpx2.AsyncBaseTransport):
    def __init__(self, url: str) -> None:
        self._place = httpx2.URL(url)
        self._transport = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(scheme="http", host=self._place.host, port=self._place.port)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()

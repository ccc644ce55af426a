"""The network below the egress client: every connection is resolved once, vetted, and made to a vetted address."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2

from intelforge.core.errors import EgressError, ErrorCode

Vet = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses a host and port may be reached at, or raises EgressError."""


class VettedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to the addresses that vetting gave, never to a name: there is no second look-up to poison."""

    def __init__(self, vet: Vet) -> None:
        self._vet = vet
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._vet(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"looking up {host} took too long") from error
        failures: list[Exception] = []
        for address in addresses:
            try:
                return await self._backend.connect_tcp(
                    address,
                    port,
                    timeout=None if timeout is None else timeout / len(addresses),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failures.append(error)
        raise failures[0]

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise EgressError(f"the socket {path} is not reached through egress", code=ErrorCode.BLOCKED)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class VettedTransport(httpx2.AsyncBaseTransport):
    """An httpx2 transport over VettedBackend. Proxies are not used: they would look names up themselves."""

    def __init__(self, vet: Vet, tls: ssl.SSLContext, *, apart: bool = False) -> None:
        """With `apart` each origin has connections of its own, so that one that stalls takes none of another's."""
        self._vet = vet
        self._tls = tls
        self._apart = apart
        self._pools: dict[tuple[object, ...], httpcore2.AsyncConnectionPool] = {}

    def _pool(self, url: httpx2.URL) -> httpcore2.AsyncConnectionPool:
        origin = (url.scheme, url.host, url.port) if self._apart else ()
        if origin not in self._pools:
            self._pools[origin] = httpcore2.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=100,
                max_keepalive_connections=20,
                keepalive_expiry=5.0,
                network_backend=VettedBackend(self._vet),
            )
        return self._pools[origin]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if url.scheme not in {"http", "https"}:
            raise EgressError(
                f"{url.scheme or 'no scheme'}: addresses are not fetched",
                hint="use http or https",
                code=ErrorCode.BLOCKED,
            )
        stream: Any = request.stream
        with _translated():
            response = await self._pool(url).handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=stream,
                    # The name that is shown and checked in TLS is that of the URL, whoever built the request.
                    extensions={k: v for k, v in request.extensions.items() if k != "sni_hostname"},
                )
            )
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Stream(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        for pool in tuple(self._pools.values()):
            await pool.aclose()


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


_EXCEPTIONS: dict[type[Exception], type[httpx2.TransportError]] = {
    httpcore2.ConnectTimeout: httpx2.ConnectTimeout,
    httpcore2.ReadTimeout: httpx2.ReadTimeout,
    httpcore2.WriteTimeout: httpx2.WriteTimeout,
    httpcore2.PoolTimeout: httpx2.PoolTimeout,
    httpcore2.ConnectError: httpx2.ConnectError,
    httpcore2.ReadError: httpx2.ReadError,
    httpcore2.WriteError: httpx2.WriteError,
    httpcore2.LocalProtocolError: httpx2.LocalProtocolError,
    httpcore2.RemoteProtocolError: httpx2.RemoteProtocolError,
}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except tuple(_EXCEPTIONS) as error:
        raise _EXCEPTIONS[type(error)](str(error)) from error

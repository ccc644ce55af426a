"""A real HTTP server on loopback whose every byte a test decides."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked. Header names are in lower case."""

    path: str
    """with its query"""
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. Without a `content-length` of its own the true one is sent; an empty value leaves a header out."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encoded(self) -> bytes:
        headers = {"content-length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} -", *(f"{name}: {value}" for name, value in headers.items() if value), "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


Handler = Callable[[Request], Awaitable[Reply]]


class WebServer:
    """Answers by path; every request is kept in `requests`. A path that is not in `pages` answers 404."""

    def __init__(
        self, pages: Mapping[str, Reply | Handler] | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.pages: dict[str, Reply | Handler] = dict(pages or {})
        self.requests: list[Request] = []
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the server is not running: use it with `async with`")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            while True:
                request = await _read_request(reader)
                self.requests.append(request)
                page = self.pages.get(request.path.partition("?")[0], Reply(status=404))
                reply = page if isinstance(page, Reply) else await page(request)
                writer.write(reply.encoded())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    parts = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    return Request(path=parts[1], headers={name.lower(): value for name, value in headers.items()})

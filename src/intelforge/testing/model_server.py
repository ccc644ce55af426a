"""A language model server on a loopback socket that speaks as Ollama and OpenAI do, with scripted replies."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRequest:
    """A request as it came in. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReply:
    """A reply to send; with `hang` the connection stays open without one, or after the last of its `chunks`."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    reset: bool = False
    """the connection is reset instead of a reply, or after the last of its `chunks`"""
    chunks: Sequence[bytes | float] = ()
    """sent one by one instead of `body`; a number is a pause in seconds"""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Respond = Callable[[ServerRequest], ServerReply]


def chat_reply(text: str, *, model: str = "test-model", tokens: tuple[int, int] = (12, 5)) -> ServerReply:
    """The reply of `/v1/chat/completions`; `tokens` are those read and written."""
    return json_reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
        }
    )


def stream_reply(
    pieces: Sequence[str | float],
    *,
    model: str = "test-model",
    tokens: tuple[int, int] | None = (12, 5),
    finish: str = "stop",
    hang: bool = False,
    reset: bool = False,
) -> ServerReply:
    """The same in pieces, as it is sent when asked for a stream. Unless it breaks off it ends as OpenAI's do."""
    chunks = [piece if isinstance(piece, float) else stream_chunk({"content": piece}, model=model) for piece in pieces]
    if not (hang or reset):
        chunks.append(stream_chunk({}, model=model, finish=finish))
        if tokens is not None:
            chunks.append(stream_chunk(None, model=model, tokens=tokens))
        chunks.append(b"data: [DONE]\n\n")
    return ServerReply(headers={"content-type": "text/event-stream"}, chunks=chunks, hang=hang, reset=reset)


def stream_chunk(
    delta: Mapping[str, Any] | None,
    *,
    model: str = "test-model",
    finish: str | None = None,
    tokens: tuple[int, int] | None = None,
) -> bytes:
    """One event of a stream; without a delta it has the counts of tokens alone."""
    choices = [] if delta is None else [{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}]
    told = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": choices,
    }
    if tokens is not None:
        told["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return f"data: {json.dumps(told)}\n\n".encode()


def tool_reply(
    name: str, arguments: str, *, model: str = "test-model", tokens: tuple[int, int] = (12, 5)
) -> ServerReply:
    """A reply that calls a tool."""
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return json_reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
        }
    )


def error_reply(status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None) -> ServerReply:
    """An error in OpenAI's form."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code or None}}
    return json_reply(body, status=status, headers=headers)


def tags_reply(models: Sequence[Mapping[str, Any]]) -> ServerReply:
    """The reply of Ollama's `/api/tags`."""
    return json_reply({"models": list(models)})


def json_reply(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> ServerReply:
    return ServerReply(status=status, body=json.dumps(body).encode(), headers=headers or {})


class ModelServer:
    """Answers each request by `respond` and keeps what came in. Use as `async with ModelServer(respond) as server`."""

    def __init__(self, respond: Respond, *, keep_alive: bool = False) -> None:
        """With `keep_alive` a connection serves request after request."""
        self._respond = respond
        self._keep_alive = keep_alive
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.requests: list[ServerRequest] = []
        self.connections = 0
        self.left = asyncio.Semaphore(0)
        """released each time a client closes its connection while the server keeps it waiting"""
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                request = await _read(reader)
                self.requests.append(request)
                reply = self._respond(request)
                if not await self._sent(reply, reader, writer) or not self._keep_alive:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client has gone
        finally:
            writer.close()

    async def _sent(self, reply: ServerReply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can serve another request."""
        framing = {"transfer-encoding": "chunked"} if reply.chunks else {"content-length": str(len(reply.body))}
        kept = "keep-alive" if self._keep_alive else "close"
        headers = {"content-type": "application/json", **reply.headers, **framing, "connection": kept}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {reply.status} Reply\r\n{lines}\r\n".encode()
        if reply.chunks or not (reply.hang or reply.reset):
            writer.write(head + (b"" if reply.chunks else reply.body))
        for chunk in reply.chunks:
            if isinstance(chunk, bytes):
                writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                await writer.drain()
            elif await _left_within(reader, chunk):
                self.left.release()
                return False
        if reply.hang:
            await reader.read()
            self.left.release()
            return False
        if reply.reset:
            writer.transport.abort()
            return False
        if reply.chunks:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _left_within(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Whether the client closed the connection within a pause."""
    try:
        async with asyncio.timeout(seconds):
            return not await reader.read(1)
    except TimeoutError:
        return False


async def _read(reader: asyncio.StreamReader) -> ServerRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    method, path, _ = head[0].split(" ", 2)
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return ServerRequest(method=method, path=path, headers=headers, body=body)

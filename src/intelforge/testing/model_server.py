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
    """A reply to send; with `hang` the connection stays open without one."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False


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

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.requests: list[ServerRequest] = []
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
        try:
            request = await _read(reader)
            self.requests.append(request)
            reply = self._respond(request)
            if reply.hang:
                await reader.read()
                return
            headers = {"content-type": "application/json", **reply.headers, "content-length": str(len(reply.body))}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"HTTP/1.1 {reply.status} Reply\r\n{lines}connection: close\r\n\r\n".encode() + reply.body)
            await writer.drain()
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> ServerRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    method, path, _ = head[0].split(" ", 2)
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return ServerRequest(method=method, path=path, headers=headers, body=body)

"""The HTTP interface on a loopback socket, before a backend whose replies are given."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn

from intelforge.core.chat import (
    Accounting,
    ChatRequest,
    ChatResponse,
    Done,
    Embedded,
    ModelName,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    Tokens,
)
from intelforge.core.errors import NotFoundError
from intelforge.interfaces.api.app import create_app
from intelforge.interfaces.api.backend import Backend
from intelforge.interfaces.api.connection import Connection

REPLY = ChatResponse(
    parts=(Thinking("hm"), Text("Hello.")),
    model="mock:one",
    tokens=Tokens(input=7, output=3, cache_read=2, thinking=1),
    cost_usd=0.25,
)


@dataclass
class ScriptedBackend:
    """Gives one reply; remembers what was asked."""

    reply: ChatResponse | Exception = REPLY
    events: Sequence[StreamEvent | Exception] = ()
    repeats: str = ""
    """said again and again in streams, without an end"""
    asked: list[ChatRequest] = field(default_factory=list)
    embedded: list[tuple[Accounting, bool]] = field(default_factory=list)
    hangs: asyncio.Event | None = None
    """set when a request hangs, which it does until it is cancelled; None for answers"""
    cancelled: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """set when a stream is over, whatever ended it"""

    async def chat(self, request: ChatRequest, *, model: str) -> ChatResponse:
        if model == "nobody":
            raise NotFoundError("there is no model 'nobody'", hint="run: intelforge models list")
        self.asked.append(request)
        await self._hang()
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def chat_stream(self, request: ChatRequest, *, model: str) -> AsyncGenerator[StreamEvent, None]:
        self.asked.append(request)
        try:
            await self._hang()
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
            while self.repeats:
                yield TextDelta(self.repeats)
                await asyncio.sleep(0)
            if not self.events:
                yield Done(REPLY)
        finally:
            self.closed.set()

    async def _hang(self) -> None:
        if self.hangs:
            self.hangs.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    async def embed(
        self, texts: Sequence[str], *, model: str, accounting: Accounting, local_only: bool = False
    ) -> Embedded:
        self.embedded.append((accounting, local_only))
        vectors = np.array([[len(text), 0.5] for text in texts], np.float32)
        return Embedded(vectors=vectors, model=model, tokens=len(texts))

    async def models(self) -> Sequence[ModelName]:
        return [ModelName(name="mock:one", provider="mock"), ModelName(name="http://host/v1#two", provider="http")]


@asynccontextmanager
async def served(
    backend: Backend, *, connection: type[Connection] = Connection, **how: Any
) -> AsyncIterator[tuple[str, int]]:
    """The address at which the backend is served; `how` is for `create_app`."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Backend]:
        yield backend

    config = uvicorn.Config(
        create_app(opened, **how), http=connection, ws="none", log_config=None, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address: tuple[str, int] = listening.getsockname()
        serving = asyncio.ensure_future(server.serve([listening]))
        try:
            yield address
        finally:
            server.should_exit = True
            await serving

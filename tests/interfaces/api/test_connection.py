"""Clients that send or read slowly, on sockets; and the clock of a connection, by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from intelforge.interfaces.api.connection import Connection
from intelforge.interfaces.api.limits import Limits
from intelforge.testing.api_server import ScriptedBackend, served

ASKED = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "?"}], "stream": True}).encode()
HEALTHY = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


class HastyConnection(Connection):
    head_seconds = 0.05
    stall_seconds = 0.05


@asynccontextmanager
async def connected(
    backend: ScriptedBackend, *, kind: type[Connection] = HastyConnection, **how: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(30), served(backend, connection=kind, **how) as address:
        reader, writer = await asyncio.open_connection(*address)
        try:
            yield reader, writer
        finally:
            writer.close()


def post(body: bytes, *, size: int | None = None) -> bytes:
    """A request; `size` is what it says of its body."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {size or len(body)}\r\n"
    return head.encode() + b"content-type: application/json\r\n\r\n" + body


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """The status and the body of one reply."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    size = next(int(line.partition(":")[2]) for line in head.lower().splitlines() if line.startswith("content-length"))
    return int(head.split()[1]), json.loads(await reader.readexactly(size))


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nhost:"])
async def test_a_request_that_does_not_come_is_not_waited_for(begun: bytes) -> None:
    async with connected(ScriptedBackend()) as (reader, writer):
        writer.write(begun)
        assert await reader.read() == b""


async def test_nor_is_the_next_one_on_a_connection() -> None:
    async with connected(ScriptedBackend()) as (reader, writer):
        writer.write(HEALTHY + b"GET ")
        assert (await read_reply(reader))[0] == 200
        assert await reader.read() == b""


async def test_nor_is_the_rest_of_a_body_that_is_refused() -> None:
    async with connected(ScriptedBackend(), key="s3cret") as (reader, writer):
        writer.write(post(b"{", size=1000))
        assert (await read_reply(reader))[0] == 401
        assert await reader.read() == b""


async def test_a_body_that_takes_too_long_is_refused() -> None:
    limits = Limits(body_seconds=0.05)
    async with connected(ScriptedBackend(), kind=Connection, limits=limits) as (reader, writer):
        writer.write(post(b"{", size=1000))
        status, reply = await read_reply(reader)
        assert status == 408
        assert "within 0.05 s" in reply["error"]["message"]
        assert await reader.read() == b""


async def test_a_head_without_an_end_is_refused() -> None:
    async with connected(ScriptedBackend(), kind=Connection) as (reader, writer):
        writer.write(b"GET /" + b"a" * (Connection.head_bytes + 1))
        status, reply = await read_reply(reader)
        assert status == 400
        assert "larger than 65536 bytes" in reply["error"]["message"]


async def test_what_is_no_http_is_refused_in_openais_form() -> None:
    async with connected(ScriptedBackend()) as (reader, writer):
        writer.write(b"hello\r\n\r\n")
        status, reply = await read_reply(reader)
        assert (status, reply["error"]["type"]) == (400, "invalid_request_error")


async def test_a_reader_that_stalls_is_left_and_its_call_given_up() -> None:
    backend = ScriptedBackend(repeats="x" * 10_000)
    async with connected(backend) as (_, writer):
        writer.write(post(ASKED))
        await backend.closed.wait()


async def test_a_stream_ends_with_its_client() -> None:
    backend = ScriptedBackend(repeats="x" * 10_000)
    async with connected(backend, kind=Connection) as (reader, writer):
        writer.write(post(ASKED))
        await reader.readuntil(b"xxx")
        writer.transport.abort()
        await backend.closed.wait()


@dataclass
class Clock:
    """A loop whose timers are rung by hand."""

    timers: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)

    def call_later(self, seconds: float, call: Callable[..., None], *given: Any) -> "Timer":
        self.timers.append((seconds, call, given))
        return Timer(self, self.timers[-1])

    def ring(self) -> None:
        _, call, given = self.timers.pop(0)
        call(*given)


@dataclass
class Timer:
    clock: Clock
    entry: Any

    def cancel(self) -> None:
        if self.entry in self.clock.timers:
            self.clock.timers.remove(self.entry)


@dataclass
class Pipe:
    """A transport that holds what the client has not read."""

    waiting: int = 0
    aborted: bool = False

    def get_extra_info(self, name: str) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def opened(clock: Any, pipe: Any) -> Connection:
    config = uvicorn.Config(FastAPI(), ws="none", interface="asgi3", log_config=None)
    connection = Connection(config=config, server_state=ServerState(), app_state={}, _loop=clock)
    connection.connection_made(pipe)
    return connection


def test_a_reader_that_is_slow_is_waited_for_as_long_as_it_reads() -> None:
    clock, pipe = Clock(), Pipe()
    connection = opened(clock, pipe)
    clock.timers.clear()
    pipe.waiting = 90_000
    connection.pause_writing()
    for pipe.waiting in (80_000, 70_000):
        assert [seconds for seconds, _, _ in clock.timers] == [Connection.stall_seconds]
        clock.ring()
        assert not pipe.aborted
    clock.ring()
    assert pipe.aborted


def test_a_reader_that_has_caught_up_is_watched_no_more() -> None:
    clock, pipe = Clock(), Pipe(waiting=90_000)
    connection = opened(clock, pipe)
    clock.timers.clear()
    connection.pause_writing()
    connection.resume_writing()
    assert clock.timers == []


def test_a_connection_that_is_over_leaves_no_timers() -> None:
    clock, pipe = Clock(), Pipe(waiting=90_000)
    connection = opened(clock, pipe)
    connection.pause_writing()
    assert len(clock.timers) == 2
    connection.connection_lost(ConnectionResetError())
    assert clock.timers == []

"""Who is let in."""

import asyncio
from typing import Any

import httpx2
import pytest

from intelforge.interfaces.api.gate import host_of
from intelforge.interfaces.api.limits import Limits
from intelforge.testing.api_server import ScriptedBackend, served

HELLO = {"model": "auto", "messages": [{"role": "user", "content": "Hello?"}]}


async def test_more_requests_than_are_answered_at_once_are_sent_away() -> None:
    backend = ScriptedBackend(hangs=asyncio.Event())
    assert backend.hangs
    async with (
        asyncio.timeout(30),
        served(backend, limits=Limits(requests=1)) as (host, port),
        httpx2.AsyncClient(base_url=f"http://{host}:{port}") as http,
    ):
        first = asyncio.ensure_future(http.post("/v1/chat/completions", json=HELLO))
        await backend.hangs.wait()
        refused = await http.get("/v1/models")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["message"] == "the server answers 1 requests already; try again"
        assert (await http.get("/healthz")).status_code == 200
        first.cancel()
        await asyncio.wait([first])
    assert backend.cancelled


async def test_there_is_room_again_when_a_request_is_over() -> None:
    async with (
        served(ScriptedBackend(), limits=Limits(requests=1)) as (host, port),
        httpx2.AsyncClient(base_url=f"http://{host}:{port}") as http,
    ):
        for body in (HELLO, {**HELLO, "stream": True}, {}):
            assert (await http.post("/v1/chat/completions", json=body)).status_code in (200, 400)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (b"LocalHost:8300", "localhost"),
        (b"127.0.0.1", "127.0.0.1"),
        (b"[::1]:8300", "::1"),
        (b"attacker.example", "attacker.example"),
        (b"localhost@attacker.example", ""),
        (b"attacker.example/localhost", ""),
        (b"localhost:x", ""),
        (b"", ""),
    ],
)
def test_the_name_is_that_of_the_host_header(given: bytes, name: str) -> None:
    scope: dict[str, Any] = {"headers": [(b"host", given)]}
    assert host_of(scope) == name


def test_two_host_headers_name_no_host() -> None:
    assert host_of({"headers": [(b"host", b"localhost:1"), (b"host", b"localhost:1")]}) == ""

"""One page: asked for once, not read when it did not change, gone when its server says so."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intelforge.collect.protocol import Complete, ListingEvent, Present
from intelforge.collect.registry import open_collector
from intelforge.collect.web import WebCollector
from intelforge.core.errors import EgressError, ErrorCode, InvalidInputError, NotFoundError
from intelforge.core.settings import Settings
from intelforge.core.values import ItemRef, Source, SourceKind, Validators
from intelforge.security.egress import Egress
from intelforge.testing.web_server import Reply, Request, WebServer


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with WebServer() as server:
        yield server


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    async with Egress(allow_hosts=["127.0.0.1"]) as egress:
        yield egress


def collector(url: str, egress: Egress, cursor: str | None = None, **options: str) -> WebCollector:
    source = Source(id="s", kind=SourceKind.WEB, uri=url, cursor=cursor, options=options)
    found = open_collector(source, settings=Settings.model_validate({"max_file_mb": 1}), egress=egress, state=Path())
    assert isinstance(found, WebCollector)
    return found


async def events(web: WebCollector, *, everything: bool = False) -> list[ListingEvent]:
    return [event async for event in web.list(everything=everything)]


async def test_a_page_is_requested_once_for_listing_and_fetch(server: WebServer, egress: Egress) -> None:
    headers = {"Content-Type": "text/html; charset=ISO-8859-1", "ETag": '"1"', "Last-Modified": "then"}
    server.pages["/a"] = Reply(body=b"<p>caf\xe9", headers=headers)
    web = collector(f"{server.url}/a", egress)
    found = await events(web)
    validators = Validators(etag='"1"', last_modified="then")
    assert found[0] == Present(ref=ItemRef(uri=f"{server.url}/a", validators=validators))
    item = await web.fetch(ItemRef(uri=f"{server.url}/a"))
    assert (item.data, item.media_type, item.validators) == (b"<p>caf\xe9", "text/html", validators)
    assert item.metadata["charset"] == "iso-8859-1"
    assert len(server.requests) == 1
    await web.fetch(ItemRef(uri=f"{server.url}/a"))
    assert len(server.requests) == 2


async def test_an_unchanged_page_is_told_by_its_server(server: WebServer, egress: Egress) -> None:
    async def page(request: Request) -> Reply:
        same = request.headers.get("if-none-match") == '"1"' and request.headers.get("if-modified-since") == "then"
        return Reply(status=304) if same else Reply(headers={"ETag": '"1"', "Last-Modified": "then"})

    server.pages["/a"] = page
    first = (await events(collector(f"{server.url}/a", egress)))[-1]
    assert isinstance(first, Complete)
    assert first.full
    again = await events(collector(f"{server.url}/a", egress, cursor=first.cursor))
    assert again == [Complete(full=False, cursor=first.cursor)]
    everything = await events(collector(f"{server.url}/a", egress, cursor=first.cursor), everything=True)
    assert [type(event) for event in everything] == [Present, Complete]
    assert everything[-1] == first


async def test_a_page_without_validators_is_always_read(server: WebServer, egress: Egress) -> None:
    server.pages["/a"] = Reply(body=b"text")
    for cursor in (None, "{}", "not json", "[1]"):
        found = await events(collector(f"{server.url}/a", egress, cursor=cursor))
        assert found[0] == Present(ref=ItemRef(uri=f"{server.url}/a"))


@pytest.mark.parametrize("status", [404, 410])
async def test_a_page_that_was_there_and_is_gone(server: WebServer, egress: Egress, status: int) -> None:
    server.pages["/a"] = Reply(status=status)
    for everything in (False, True):
        found = await events(collector(f"{server.url}/a", egress, cursor="{}"), everything=everything)
        assert found == [Complete(full=True, cursor="{}")]
    with pytest.raises(EgressError) as caught:
        await events(collector(f"{server.url}/a", egress))
    assert caught.value.error_code is ErrorCode.NOT_FOUND


async def test_other_failures_raise_and_nothing_is_gone(server: WebServer, egress: Egress) -> None:
    server.pages["/down"] = Reply(status=503)
    server.pages["/big"] = Reply(body=b"x" * 1_000_001)
    for path, code in {"/down": ErrorCode.UNREACHABLE, "/big": ErrorCode.TOO_LARGE}.items():
        with pytest.raises(EgressError) as caught:
            await events(collector(f"{server.url}{path}", egress, cursor="{}"))
        assert caught.value.error_code is code


async def test_a_media_type_is_guessed_only_when_none_is_declared(server: WebServer, egress: Egress) -> None:
    server.pages["/a.md"] = Reply(body=b"# a")
    item = await collector(f"{server.url}/a.md", egress).fetch(ItemRef(uri=f"{server.url}/a.md"))
    assert item.media_type == "text/markdown"
    assert "charset" not in item.metadata


async def test_fetch_knows_its_page_only_and_needs_content(server: WebServer, egress: Egress) -> None:
    server.pages["/odd"] = Reply(status=304)
    web = collector(f"{server.url}/odd", egress)
    with pytest.raises(NotFoundError):
        await web.fetch(ItemRef(uri=f"{server.url}/other"))
    with pytest.raises(EgressError):
        await web.fetch(ItemRef(uri=f"{server.url}/odd"))


async def test_watching_looks_at_intervals_until_closed(egress: Egress) -> None:
    web = collector("https://example.com/", egress, interval="0.01")
    looks = 0
    async with asyncio.timeout(10):
        async for _ in web.watch():
            looks += 1
            if looks == 3:
                await web.close()
    assert looks == 3


@pytest.mark.parametrize("interval", ["0", "-1", "soon", "inf", "nan"])
async def test_an_interval_must_be_a_time(egress: Egress, interval: str) -> None:
    with pytest.raises(InvalidInputError, match="interval"):
        collector("https://example.com/", egress, interval=interval)

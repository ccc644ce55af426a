"""What leaves, leaves through a vetted connection, and comes back within its caps."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx2
import pytest

from intelforge.core.errors import EgressError, ErrorCode
from intelforge.security.egress import Egress, shown_url, system_resolve
from intelforge.security.transport import VettedBackend
from intelforge.testing.model_server import ModelServer, ServerReply, ServerRequest
from intelforge.testing.web_server import Reply, Request, WebServer

CERTIFICATE = Path(__file__).with_name("certificates") / "pages.pem"
MEGABYTE = 1_000_000


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with WebServer({"/": Reply(body=b"hello", headers={"ETag": '"1"'})}) as server:
        yield server


async def loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def allowing(server: WebServer, **options: float) -> Egress:
    return Egress(
        allow_hosts=[f"127.0.0.1:{server.port}", f"pages.example.test:{server.port}"],
        resolve=loopback,
        timeout=options.get("timeout", 20),
        max_redirects=int(options.get("max_redirects", 5)),
    )


async def refused(egress: Egress, url: str, *, max_bytes: int = MEGABYTE) -> EgressError:
    with pytest.raises(EgressError) as caught:
        await egress.fetch(url, max_bytes=max_bytes)
    return caught.value


async def test_a_page_comes_with_status_headers_and_body(server: WebServer) -> None:
    async with allowing(server) as egress:
        page = await egress.fetch(f"{server.url}/", max_bytes=5)
    assert (page.status, page.body, page.headers["etag"]) == (200, b"hello", '"1"')


async def test_a_private_address_is_refused_unless_its_host_is_allowed(server: WebServer) -> None:
    async with Egress() as egress:
        error = await refused(egress, f"{server.url}/")
    assert error.error_code is ErrorCode.BLOCKED
    assert "allow_hosts" in error.hint
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0x7f.1/", "http://2130706433/", "http://127.1/",
        "http://127.0.0.1./", "http://１２７.0.0.1/", "http://127。0。0。1/", "http://[fe80::1%25lo]/", "http://0/",
        "ftp://example.com/", "file:///etc/passwd", "http://", "//example.com", "example.com", "http://[/",
        "http://example.com:99999/", "gopher://127.0.0.1:70/", "http://user@example.com/", "http://:pw@example.com/",
    ],
)  # fmt: skip
async def test_addresses_that_must_not_be_fetched_are_blocked(url: str) -> None:
    async with Egress(resolve=loopback) as egress:
        assert (await refused(egress, url)).error_code is ErrorCode.BLOCKED


async def test_one_bad_address_among_good_ones_refuses_the_host() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["93.184.215.14", "10.0.0.1"]

    async with Egress(resolve=resolve) as egress:
        with pytest.raises(EgressError, match=r"example\.com \(10\.0\.0\.1\) is a private address"):
            await egress.vet("example.com", 443)


async def test_a_name_is_looked_up_once_and_the_vetted_address_is_connected_to(server: WebServer) -> None:
    looked_up: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["192.168.0.1"]

    async with Egress(allow_hosts=["pages.example.test"], resolve=rebinding) as egress:
        page = await egress.fetch(f"http://pages.example.test:{server.port}/", max_bytes=MEGABYTE)
    assert page.status == 200
    assert looked_up == ["pages.example.test"]
    assert server.requests[0].headers["host"] == f"pages.example.test:{server.port}"


async def test_a_name_that_turns_private_is_refused_at_the_next_connection() -> None:
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    async with Egress(resolve=rebinding) as egress:
        assert await egress.vet("pages.example.test", 80) == ("93.184.215.14",)
        with pytest.raises(EgressError, match="loopback"):
            await egress.vet("pages.example.test", 80)


async def test_the_next_address_is_tried_when_one_does_not_answer(server: WebServer) -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2" if port != server.port else "::1", "127.0.0.1"]

    async with Egress(allow_hosts=["pages.example.test"], resolve=two) as egress:
        page = await egress.fetch(f"http://pages.example.test:{server.port}/", max_bytes=MEGABYTE)
    assert page.body == b"hello"


async def test_a_redirect_to_a_private_address_is_refused(server: WebServer) -> None:
    async with WebServer() as inner:
        server.pages["/away"] = Reply(status=302, headers={"Location": f"{inner.url}/"})
        async with allowing(server) as egress:
            error = await refused(egress, f"{server.url}/away")
        assert error.error_code is ErrorCode.BLOCKED
        assert inner.requests == []


async def test_a_redirect_to_another_scheme_is_refused(server: WebServer) -> None:
    server.pages["/file"] = Reply(status=301, headers={"Location": "file:///etc/passwd"})
    async with allowing(server) as egress:
        assert (await refused(egress, f"{server.url}/file")).error_code is ErrorCode.BLOCKED


async def test_redirects_end_at_the_page_or_at_the_limit(server: WebServer) -> None:
    server.pages["/one"] = Reply(status=302, headers={"Location": "/"})
    server.pages["/loop"] = Reply(status=302, headers={"Location": "/loop"})
    async with allowing(server, max_redirects=3) as egress:
        assert (await egress.fetch(f"{server.url}/one", max_bytes=MEGABYTE)).url == f"{server.url}/"
        error = await refused(egress, f"{server.url}/loop")
    assert error.error_code is ErrorCode.REFUSED
    assert "3 redirects" in error.message
    assert [request.path for request in server.requests].count("/loop") == 4


async def test_secret_headers_do_not_follow_to_another_origin(server: WebServer) -> None:
    async with WebServer({"/": Reply(body=b"other")}) as other:
        server.pages["/away"] = Reply(status=307, headers={"Location": f"{other.url}/"})
        server.pages["/near"] = Reply(status=307, headers={"Location": "/"})
        async with Egress(allow_hosts=["127.0.0.1"]) as egress:
            for path in ("/away", "/near"):
                headers = {"Authorization": "Bearer s3cret", "If-None-Match": '"7"'}
                await egress.fetch(f"{server.url}{path}", max_bytes=MEGABYTE, headers=headers)
        assert "authorization" not in other.requests[0].headers
        assert other.requests[0].headers["if-none-match"] == '"7"'
        assert server.requests[-1].headers["authorization"] == "Bearer s3cret"


async def test_a_conditional_request_may_be_answered_not_modified(server: WebServer) -> None:
    async def page(request: Request) -> Reply:
        return Reply(status=304 if request.headers.get("if-none-match") == '"1"' else 200)

    server.pages["/page"] = page
    async with allowing(server) as egress:
        known = await egress.fetch(f"{server.url}/page", max_bytes=9, headers={"if-none-match": '"1"'})
        fresh = await egress.fetch(f"{server.url}/page", max_bytes=9)
    assert (known.status, known.body, fresh.status) == (304, b"", 200)


async def test_a_body_that_declares_too_much_is_not_read(server: WebServer) -> None:
    server.pages["/big"] = Reply(headers={"content-length": "10000000000"})
    async with allowing(server) as egress:
        assert (await refused(egress, f"{server.url}/big")).error_code is ErrorCode.TOO_LARGE


async def test_a_body_that_grows_beyond_the_cap_is_cut_off(server: WebServer) -> None:
    server.pages["/exact"] = Reply(body=b"x" * 100)
    server.pages["/more"] = Reply(body=b"x" * 101, headers={"content-length": "101"})
    server.pages["/chunked"] = Reply(
        headers={"transfer-encoding": "chunked", "content-length": ""}, body=b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n"
    )
    async with allowing(server) as egress:
        assert len((await egress.fetch(f"{server.url}/exact", max_bytes=100)).body) == 100
        for path in ("/more", "/chunked"):
            assert (await refused(egress, f"{server.url}{path}", max_bytes=100)).error_code is ErrorCode.TOO_LARGE


async def test_a_compressed_bomb_is_stopped(server: WebServer) -> None:
    bomb = gzip.compress(b"\0" * 50 * MEGABYTE)
    server.pages["/bomb"] = Reply(body=bomb, headers={"content-encoding": "gzip"})
    async with allowing(server) as egress:
        assert (await refused(egress, f"{server.url}/bomb")).error_code is ErrorCode.TOO_LARGE


async def test_compressed_text_is_unpacked_and_damaged_is_an_error(server: WebServer) -> None:
    server.pages["/good"] = Reply(body=gzip.compress(b"text"), headers={"content-encoding": "gzip"})
    server.pages["/bad"] = Reply(body=b"not gzip", headers={"content-encoding": "gzip"})
    async with allowing(server) as egress:
        assert (await egress.fetch(f"{server.url}/good", max_bytes=100)).body == b"text"
        assert (await refused(egress, f"{server.url}/bad")).error_code is ErrorCode.UNREACHABLE


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, ErrorCode.NOT_FOUND),
        (410, ErrorCode.NOT_FOUND),
        (401, ErrorCode.REFUSED),
        (403, ErrorCode.REFUSED),
        (418, ErrorCode.REFUSED),
        (300, ErrorCode.REFUSED),
        (429, ErrorCode.UNREACHABLE),
        (503, ErrorCode.UNREACHABLE),
    ],
)
async def test_a_status_becomes_a_code(server: WebServer, status: int, code: ErrorCode) -> None:
    server.pages["/page"] = Reply(status=status)
    async with allowing(server) as egress:
        assert (await refused(egress, f"{server.url}/page")).error_code is code


async def test_a_slow_server_is_given_up_in_all_its_slowness(server: WebServer) -> None:
    never = asyncio.Event()

    async def hang(request: Request) -> Reply:
        await never.wait()
        return Reply()

    server.pages["/hang"] = hang
    server.pages["/stall"] = Reply(body=b"start", headers={"content-length": "100"})
    async with allowing(server, timeout=0.2) as egress:
        for path in ("/hang", "/stall"):
            error = await refused(egress, f"{server.url}{path}")
            assert error.error_code is ErrorCode.TIMED_OUT
            assert error.retryable


async def test_a_slow_look_up_is_given_up() -> None:
    async def slow(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with Egress(resolve=slow, timeout=0.1) as egress:
        assert (await refused(egress, "http://example.com/")).error_code is ErrorCode.TIMED_OUT
        async with egress.client(timeout=0.05) as client:
            with pytest.raises(httpx2.ConnectTimeout):
                await client.get("http://example.com/")


async def test_an_unknown_host_and_a_closed_port_are_unreachable(server: WebServer) -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    async def nothing(host: str, port: int) -> Sequence[str]:
        return []

    for resolve in (unknown, nothing):
        async with Egress(resolve=resolve) as egress:
            error = await refused(egress, "http://nowhere.example/")
            assert error.error_code is ErrorCode.UNREACHABLE
            assert "nowhere.example" in error.message
    async with WebServer() as closed:
        url = closed.url
    async with Egress(allow_hosts=["127.0.0.1"]) as egress:
        assert (await refused(egress, url)).error_code is ErrorCode.UNREACHABLE


async def test_what_a_resolver_gives_must_be_addresses() -> None:
    async def odd(host: str, port: int) -> Sequence[str]:
        return ["not-an-address"]

    async with Egress(resolve=odd) as egress:
        assert (await refused(egress, "http://example.com/")).error_code is ErrorCode.BLOCKED


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_a_certificate_nobody_signed_is_untrusted() -> None:
    async with WebServer({"/": Reply(body=b"hello")}, tls=server_tls()) as server, allowing(server) as egress:
        error = await refused(egress, f"https://pages.example.test:{server.port}/")
    assert error.error_code is ErrorCode.UNTRUSTED
    assert "self-signed" in error.message


async def test_the_certificate_is_checked_for_the_name_in_the_url() -> None:
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with WebServer({"/": Reply(body=b"hello")}, tls=server_tls()) as server:
        allowed = ["pages.example.test", "other.example.test"]
        async with Egress(allow_hosts=allowed, resolve=loopback, tls=trusting) as egress:
            page = await egress.fetch(f"https://pages.example.test:{server.port}/", max_bytes=MEGABYTE)
            error = await refused(egress, f"https://other.example.test:{server.port}/")
    assert page.body == b"hello"
    assert error.error_code is ErrorCode.UNTRUSTED


async def test_proxies_of_the_environment_are_not_used(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with allowing(server) as egress:
        assert (await egress.fetch(f"{server.url}/", max_bytes=MEGABYTE)).status == 200


async def test_messages_hold_no_secrets(server: WebServer) -> None:
    async with allowing(server) as egress:
        missing = await refused(egress, f"{server.url}/gone?token=s3cret#frag")
        named = await refused(egress, "http://anna:s3cret@example.com/?token=s3cret")
    assert "s3cret" not in str(missing) + str(named)
    assert "/gone" in missing.message


def test_a_url_is_shown_without_user_query_and_fragment() -> None:
    assert shown_url("https://a:b@host:1/path?q=1#f") == "https://host:1/path"
    assert shown_url("git@host:owner/name") == "host:owner/name"
    assert len(shown_url("https://host/" + "x" * 1000)) == 200


async def test_a_client_streams_through_the_same_vetting(server: WebServer) -> None:
    server.pages["/stream"] = Reply(body=b"x" * 200_000)
    async with allowing(server) as egress, egress.client() as client:
        async with client.stream("GET", f"{server.url}/stream") as response:
            assert sum([len(part) async for part in response.aiter_bytes()]) == 200_000
        posted = await client.post(f"{server.url}/", content=b"body")
        assert posted.status_code == 200
        with pytest.raises(EgressError, match="loopback"):
            await client.get(f"http://127.0.0.1:{server.port + 1}/")


async def test_a_client_cannot_be_told_to_follow_redirects_out_of_vetting(server: WebServer) -> None:
    server.pages["/away"] = Reply(status=302, headers={"Location": "http://10.0.0.1/"})
    async with allowing(server) as egress, egress.client() as client:
        with pytest.raises(EgressError, match="private"):
            await client.get(f"{server.url}/away", follow_redirects=True)


async def test_a_client_reports_a_broken_answer_as_httpx_does(server: WebServer) -> None:
    server.pages["/odd"] = Reply(status=0)
    async with allowing(server) as egress, egress.client() as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(f"{server.url}/odd")


async def test_a_host_that_stalls_takes_no_connection_of_another(server: WebServer) -> None:
    most, asked, stalled = 100, [0], asyncio.Event()

    def stall(request: ServerRequest) -> ServerReply:
        asked[0] += 1
        if asked[0] == most:
            stalled.set()
        return ServerReply(hang=True)

    async with ModelServer(stall) as stalling, allowing(server) as egress, egress.client(apart=True) as client:
        egress.allow("127.0.0.1")
        waiting = [asyncio.ensure_future(client.get(stalling.url)) for _ in range(most)]
        await stalled.wait()
        response = await client.get(server.url, timeout=httpx2.Timeout(20, pool=0.5))
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert response.content == b"hello"


async def test_a_transport_refuses_other_schemes() -> None:
    async with Egress() as egress, egress.transport() as transport:
        with pytest.raises(EgressError, match="not fetched"):
            await transport.handle_async_request(httpx2.Request("GET", "ws://example.com/"))


async def test_local_sockets_are_not_a_way_out() -> None:
    async with Egress() as egress:
        with pytest.raises(EgressError, match="not reached"):
            await VettedBackend(egress.vet).connect_unix_socket("/run/docker.sock")


async def test_the_server_name_of_a_request_cannot_be_forged() -> None:
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with WebServer({"/": Reply()}, tls=server_tls()) as server:
        egress = Egress(allow_hosts=["other.example.test"], resolve=loopback, tls=trusting)
        async with egress, egress.client() as client:
            with pytest.raises(httpx2.ConnectError):
                await client.get(
                    f"https://other.example.test:{server.port}/", extensions={"sni_hostname": "pages.example.test"}
                )


async def test_the_system_resolver_gives_addresses_once() -> None:
    found = await system_resolve("127.0.0.1", 80)
    assert found == ["127.0.0.1"]

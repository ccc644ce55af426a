"""A key is sent to its provider's host, and to no other."""

import gzip
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx2
import pytest

from intelforge.core.chat import Done, StreamEvent
from intelforge.core.errors import ErrorCode, ModelError
from intelforge.models.failures import Failure, ProviderError
from intelforge.models.key_binding import MOST_BYTES, bound_client, key_headers, with_key
from intelforge.models.protocol import LanguageModel
from intelforge.models.providers import PROVIDERS
from intelforge.models.resilience import RetryPolicy
from intelforge.models.targets import Target, read_target
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.model_server import ModelServer, ServerReply, chat_reply, stream_reply

KEY = "sk-verysecret-0123456789"
OPENAI = with_key(read_target("openai:gpt-x", environment={}), {"OPENAI_API_KEY": KEY})


def keyed(url: str, **secrets: str) -> Target:
    return with_key(read_target(url, environment={}), secrets)


@pytest.fixture
def seen() -> list[httpx2.Request]:
    return []


@pytest.fixture
def transport(seen: list[httpx2.Request]) -> httpx2.MockTransport:
    def respond(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        body = chat_reply("Hello.").json
        body["provider"] = "Somewhere"  # as OpenRouter has it
        body["choices"][0]["native_finish_reason"] = "stop"
        return httpx2.Response(200, json=body)

    return httpx2.MockTransport(respond)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com.evil.example/v1/models",
        "https://evil.example/v1/models",
        "http://api.openai.com/v1/models",
        "https://api.openai.com:8443/v1/models",
        "https://api.openai.com@evil.example/v1/models",
    ],
)
async def test_no_other_host_port_or_scheme_gets_it(
    url: str, transport: httpx2.MockTransport, seen: list[httpx2.Request]
) -> None:
    async with httpx2.AsyncClient(transport=transport) as client, bound_client(OPENAI, client) as bound:
        await bound.get(url, headers={"authorization": "Bearer from-a-library", "x-api-key": "from-a-library"})
        await bound.get("https://api.openai.com/v1/models")
    elsewhere, home = seen
    assert not any(secret in str(elsewhere.headers.raw) for secret in (KEY, "from-a-library"))
    assert home.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("wrong", ["sk-…", "sk-one two", "“sk-quoted”", "sk-one\nsk-two", "sk-\x7f"])
@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("openai:gpt-x", ["OPENAI_API_KEY"]),
        ("https://llm.example.com/v1#m", ["INTELFORGE_LLM_API_KEY_LLM_EXAMPLE_COM"]),
        ("portkey:gpt-x", ["PORTKEY_VIRTUAL_KEY", "PORTKEY_API_KEY"]),
    ],
)
def test_what_cannot_be_a_key_is_told_by_its_name_and_not_repeated(url: str, names: list[str], wrong: str) -> None:
    with pytest.raises(ModelError, match="characters that no key has") as caught:
        keyed(url, **dict.fromkeys(names[1:], KEY), **{names[0]: wrong})
    assert caught.value.error_code is ErrorCode.REFUSED
    assert names[0] in caught.value.hint
    assert wrong not in f"{caught.value} {caught.value.hint}"


async def streamed(model: LanguageModel) -> list[StreamEvent]:
    async with aclosing(model.stream(ask())) as events:
        return [event async for event in events]


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_without_an_end_does_not_fill_the_memory(bench: GatewayBench, stream: bool) -> None:
    sent = [0]

    async def endless() -> AsyncIterator[bytes]:
        while sent[0] <= 2 * MOST_BYTES:
            sent[0] += 1 << 20
            yield b" " * (1 << 20)

    bench.retry = RetryPolicy(retries=0)
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=endless()))
    async with httpx2.AsyncClient(transport=transport) as bench.client:
        model = await bench.open("https://llm.example.com/v1#m")
        with pytest.raises(ProviderError, match="sent more than 32 MB") as caught:
            await (streamed(model) if stream else model.respond(ask()))
    assert caught.value.kind is Failure.MALFORMED
    assert sent[0] <= MOST_BYTES + (1 << 20)


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_that_unpacks_to_much_does_not_fill_the_memory(bench: GatewayBench, stream: bool) -> None:
    packed = gzip.compress(b" " * (MOST_BYTES + 1))
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    bench.retry = RetryPolicy(retries=0)
    async with ModelServer(lambda request: ServerReply(body=packed, headers=headers)) as server:
        model = await bench.open(f"{server.url}/v1#m")
        with pytest.raises(ProviderError, match="sent more than 32 MB"):
            await (streamed(model) if stream else model.respond(ask()))


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_compressed_reply_is_read(bench: GatewayBench) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    packed = gzip.compress(chat_reply("Hello.").body)
    async with ModelServer(lambda request: ServerReply(body=packed, headers=headers)) as server:
        assert (await (await bench.open(f"{server.url}/v1#m")).respond(ask())).text == "Hello."


def in_pieces(number: int) -> httpx2.MockTransport:
    """A stream of so many megabytes in pieces of one before its reply."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(number):
            yield b": " + b"x" * (1 << 20) + b"\n\n"
        for chunk in stream_reply(["Hel", "lo."]).chunks:
            assert isinstance(chunk, bytes)
            yield chunk

    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return httpx2.MockTransport(lambda request: httpx2.Response(200, content=pieces(), headers=headers))


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_stream_of_many_pieces_may_be_longer_than_a_reply(
    bench: GatewayBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intelforge.models.key_binding.MOST_BYTES", 2 << 20)
    async with httpx2.AsyncClient(transport=in_pieces(6)) as bench.client:
        *_, end = await streamed(await bench.open("https://llm.example.com/v1#m"))
    assert isinstance(end, Done)
    assert end.response.text == "Hello."


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_stream_without_an_end_is_broken_off_too(bench: GatewayBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intelforge.models.key_binding.MOST_STREAMED", 4 << 20)
    bench.retry = RetryPolicy(retries=0)
    async with httpx2.AsyncClient(transport=in_pieces(6)) as bench.client:
        model = await bench.open("https://llm.example.com/v1#m")
        with pytest.raises(ProviderError, match="sent more than 4 MB"):
            await streamed(model)


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(bench: GatewayBench, status: int) -> None:
    async with ModelServer(lambda request: chat_reply("Hello.")) as other:
        away = ServerReply(status=status, headers={"location": f"{other.url}/v1/chat/completions"})
        async with ModelServer(lambda request: away) as server:
            model = await bench.open(f"{server.url}/v1#tiny", INTELFORGE_LLM_API_KEY_127_0_0_1=KEY)
            with pytest.raises(ModelError, match="redirect"):
                await model.respond(ask())
        assert other.requests == []


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("scheme", ["openai", "openrouter", "deepseek", "groq", "gemini", "mistral"])
async def test_an_address_in_the_environment_does_not_lead_it_away(
    scheme: str,
    bench: GatewayBench,
    transport: httpx2.MockTransport,
    seen: list[httpx2.Request],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OPENAI_BASE_URL", "OPENROUTER_BASE_URL", "GROQ_BASE_URL", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "https://evil.example/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-this-machine")
    async with httpx2.AsyncClient(transport=transport) as bench.client:
        model = await bench.open(f"{scheme}:vendor/name", **{PROVIDERS[scheme].keys[0]: KEY})
        assert (await model.respond(ask())).text == "Hello."
    (request,) = seen
    assert request.url.host == httpx2.URL(PROVIDERS[scheme].base_url).host
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "sk-of-this-machine" not in str(request.headers.raw)


@pytest.mark.parametrize("scheme", sorted(PROVIDERS))
def test_each_provider_has_its_address_and_sends_its_key_in_its_header(scheme: str) -> None:
    target = keyed(f"{scheme}:@vendor/name", **{PROVIDERS[scheme].keys[-1]: f" {KEY} "})
    assert target.base_url.startswith("https://")
    assert target.name == f"{scheme}:@vendor/name"
    headers = key_headers(target)
    assert headers[PROVIDERS[scheme].header].removeprefix("Bearer ") == KEY


def test_portkey_spends_the_virtual_key_that_is_named() -> None:
    secrets = {"PORTKEY_API_KEY": KEY, "PORTKEY_VIRTUAL_KEY": "openai-1a2b3c"}
    plain = key_headers(keyed("portkey:gpt-x", **secrets))
    assert plain == {"x-portkey-api-key": KEY, "x-portkey-virtual-key": "openai-1a2b3c"}
    named = key_headers(keyed("portkey:@team/gpt-x", **secrets))
    assert named == {"x-portkey-api-key": KEY, "x-portkey-provider": "@team"}
    with pytest.raises(ModelError) as caught:
        keyed("portkey:gpt-x", PORTKEY_API_KEY=KEY)
    assert caught.value.error_code is ErrorCode.REFUSED
    assert "PORTKEY_VIRTUAL_KEY" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://gpu.example.com/v1#tiny", "INTELFORGE_LLM_API_KEY_GPU_EXAMPLE_COM"),
        ("https://gpu.example.com:8443/v1#tiny", "INTELFORGE_LLM_API_KEY_GPU_EXAMPLE_COM_8443"),
        ("http://127.0.0.1:8000/v1#tiny", "INTELFORGE_LLM_API_KEY_127_0_0_1"),
        ("http://localhost:8000/v1#tiny", "INTELFORGE_LLM_API_KEY_LOCALHOST_8000"),
    ],
)
def test_a_server_has_a_key_of_its_own(url: str, name: str) -> None:
    assert keyed(url, **{name: KEY}).key == KEY
    elsewhere = keyed("https://other.example.com/v1#tiny", INTELFORGE_LLM_API_KEY="for all?", **{name: KEY})
    assert not elsewhere.key


@pytest.mark.parametrize(
    ("host", "allowed", "sent"),
    [
        ("gpu.lan", (), False),
        ("gpu.lan", ("gpu.lan",), True),
        ("gpu.lan", ("gpu.lan:8000",), True),
        ("gpu.lan", ("gpu.lan:9000",), False),
        ("192.168.1.7", (), False),
        ("192.168.1.7", ("192.168.1.7",), True),
        ("8.8.8.8", ("8.8.8.8",), False),
        ("127.0.0.1", (), True),
        ("localhost", (), True),
    ],
)
def test_over_plain_http_a_key_goes_to_this_machine_and_to_allowed_ones_alone(
    host: str, allowed: tuple[str, ...], sent: bool
) -> None:
    target = read_target(f"http://{host}:8000/v1#tiny", environment={})
    secrets = {target.key_name: KEY}
    if sent:
        assert with_key(target, secrets, allow_hosts=allowed).key == KEY
        return
    with pytest.raises(ModelError, match=f"{host} would go over plain http") as caught:
        with_key(target, secrets, allow_hosts=allowed)
    assert caught.value.error_code is ErrorCode.REFUSED
    assert "https://" in caught.value.hint
    assert "allow_hosts" in caught.value.hint
    assert KEY not in str(caught.value)
    assert not with_key(target, {}, allow_hosts=allowed).key  # a server that wants none is asked all the same


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_two_servers_are_sent_the_key_of_each(bench: GatewayBench) -> None:
    async with (
        ModelServer(lambda request: chat_reply("One.")) as one,
        ModelServer(lambda request: chat_reply("Two.")) as two,
    ):
        ports = [server.url.rpartition(":")[2] for server in (one, two)]
        keys = {f"INTELFORGE_LLM_API_KEY_127_0_0_1_{port}": f"{KEY}-{port}" for port in ports}
        for server in (one, two):
            await (await bench.open(f"{server.url}/v1#tiny", **keys)).respond(ask())
    sent = [server.requests[0].headers["authorization"] for server in (one, two)]
    assert sent == [f"Bearer {KEY}-{port}" for port in ports]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_it_is_in_no_text_about_the_model(bench: GatewayBench) -> None:
    model = await bench.open("openai:gpt-x", OPENAI_API_KEY=KEY)
    assert KEY not in repr(model)
    assert KEY not in repr(OPENAI)
    assert KEY not in repr(bound_client(OPENAI, bench.client)._transport)

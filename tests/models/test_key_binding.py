"""A key is sent to its provider's host, and to no other."""

import httpx2
import pytest

from intelforge.core.errors import ModelError
from intelforge.models.key_binding import bound_client
from intelforge.models.providers import PROVIDERS
from intelforge.models.targets import read_target
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.model_server import ModelServer, ServerReply, chat_reply

KEY = "sk-verysecret-0123456789"
OPENAI = read_target("openai:gpt-x", environment={"OPENAI_API_KEY": KEY})


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


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(bench: GatewayBench, status: int) -> None:
    async with ModelServer(lambda request: chat_reply("Hello.")) as other:
        away = ServerReply(status=status, headers={"location": f"{other.url}/v1/chat/completions"})
        async with ModelServer(lambda request: away) as server:
            model = await bench.open(f"{server.url}/v1#tiny", INTELFORGE_LLM_API_KEY=KEY)
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


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_it_is_in_no_text_about_the_model(bench: GatewayBench) -> None:
    model = await bench.open("openai:gpt-x", OPENAI_API_KEY=KEY)
    assert KEY not in repr(model)
    assert KEY not in repr(OPENAI)
    assert KEY not in repr(bound_client(OPENAI, bench.client)._transport)

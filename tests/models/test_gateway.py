"""Opening a language model by its URL, and asking it over a real socket."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic_ai.models.test import TestModel

from intelforge.core.chat import Attempt, ChatRequest, ChatResponse, Done, Tokens, Tool
from intelforge.core.errors import BackendError, EgressError, ErrorCode, IntelForgeError, ModelError
from intelforge.models import gateway as gateway_module
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.fitting import CatalogueWindow
from intelforge.models.catalogue.overrides import Override, read_overrides
from intelforge.models.endpoint import Limits
from intelforge.models.gateway import Gateway, Options
from intelforge.models.gateway_model import Lent
from intelforge.models.key_binding import with_key
from intelforge.models.ledger import CallState, Ledger, MemoryLedgerStore
from intelforge.models.prices import GivenPrices
from intelforge.models.protocol import LanguageModel, Route
from intelforge.models.providers import PROVIDERS
from intelforge.models.resilience import RetryPolicy
from intelforge.models.response_cache.cache import ResponseCache
from intelforge.models.response_cache.disk import DiskReplies
from intelforge.models.targets import hosts_of, read_target
from intelforge.security.egress import Egress
from intelforge.testing import mock_model
from intelforge.testing.gateway import ask
from intelforge.testing.model_server import (
    ModelServer,
    Respond,
    ServerReply,
    ServerRequest,
    chat_reply,
    error_reply,
    stream_reply,
    tags_reply,
    tool_reply,
)

KEY = "sk-verysecret-0123456789"
INSTALLED = [{"name": "qwen3:8b", "details": {"family": "qwen3", "parameter_size": "8.2B"}}]


def gateway(client: httpx2.AsyncClient, store: MemoryLedgerStore, timeout: float = 30, **environment: str) -> Gateway:
    options = Options(limits=Limits(total=timeout), retry=RetryPolicy(retries=0), probe_timeout=30)
    return Gateway(client=client, ledger=Ledger(store), options=options, environment=environment)


async def opened(
    url: str, client: httpx2.AsyncClient, store: MemoryLedgerStore, timeout: float = 30, **environment: str
) -> LanguageModel:
    model = await gateway(client, store, timeout, **environment).model(url)
    assert model is not None
    return model


def always(reply: ServerReply) -> Respond:
    return lambda request: reply


async def test_none_is_no_model(client: httpx2.AsyncClient, store: MemoryLedgerStore) -> None:
    assert await gateway(client, store).model("none:") is None


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_auto_finds_the_running_ollama_and_asks_it(client: httpx2.AsyncClient, store: MemoryLedgerStore) -> None:
    replies = {"/api/tags": tags_reply(INSTALLED), "/v1/chat/completions": chat_reply(" Hello. ", model="qwen3:8b")}
    async with ModelServer(lambda request: replies[request.path]) as server:
        model = await opened("auto", client, store, OLLAMA_HOST=server.url)
        completion = await model.complete("What?", instructions="Be short.", purpose="answer")
        assert model.name == completion.model == "ollama:qwen3:8b"
        assert completion.text == "Hello."
        assert (completion.tokens.input, completion.tokens.output, completion.cost_usd) == (12, 5, 0.0)
        sent = server.requests[-1].json
        assert sent["model"] == "qwen3:8b"
        assert [message["content"] for message in sent["messages"]] == ["Be short.", "What?"]
    (call,) = store.calls
    assert (call.state, call.model, call.purpose) == (CallState.SETTLED, "ollama:qwen3:8b", "answer")
    assert (call.input_tokens, call.output_tokens, call.cost_usd, call.reserved_usd) == (12, 5, 0.0, 0.0)


@pytest.mark.parametrize(
    "reply",
    [tags_reply([]), ServerReply(body=b"<html>"), ServerReply(status=500), ServerReply(body=b'{"models": [7]}')],
    ids=["no model", "not Ollama", "broken", "odd rows"],
)
async def test_auto_is_no_model_when_what_runs_there_has_none(
    reply: ServerReply, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    async with ModelServer(always(reply)) as server:
        assert await gateway(client, store, OLLAMA_HOST=server.url).model("auto") is None
        assert server.requests[0].path == "/api/tags"


async def test_auto_is_no_model_when_nothing_answers_in_time(
    client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    async with ModelServer(always(ServerReply(hang=True))) as server, asyncio.timeout(30):
        waiting = Gateway(client=client, ledger=Ledger(store), environment={"OLLAMA_HOST": server.url})
        assert await waiting.model("auto") is None


async def test_auto_is_no_model_when_egress_does_not_allow_the_host(store: MemoryLedgerStore) -> None:
    async with ModelServer(always(tags_reply(INSTALLED))) as server, Egress().client() as guarded:
        assert await gateway(guarded, store, OLLAMA_HOST=server.url).model("auto") is None
        assert server.requests == []


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_refusal_by_egress_is_told_as_such(store: MemoryLedgerStore) -> None:
    async with ModelServer(always(chat_reply("Hello."))) as server, Egress().client() as guarded:
        model = await opened(f"{server.url}/v1#tiny", guarded, store)
        with pytest.raises(EgressError) as caught:
            await model.complete("What?", instructions="", purpose="answer")
        assert caught.value.error_code is ErrorCode.BLOCKED
        assert server.requests == []


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_an_allowed_host_is_reached_through_egress(store: MemoryLedgerStore) -> None:
    async with ModelServer(always(chat_reply("Hello."))) as server:
        url = f"{server.url}/v1#tiny"
        async with Egress(allow_hosts=hosts_of(url, environment={})).client() as guarded:
            model = await opened(url, guarded, store, INTELFORGE_LLM_API_KEY_127_0_0_1=KEY)
            assert (await model.complete("What?", instructions="", purpose="answer")).text == "Hello."
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert KEY not in repr(model)


FAILURES = [
    (error_reply(401, f"Incorrect API key provided: {KEY}", code="invalid_api_key"), ErrorCode.REFUSED),
    (error_reply(404, "model 'tiny' not found", code="model_not_found"), ErrorCode.MISSING_MODEL),
    (error_reply(429, "Rate limit reached", headers={"retry-after": "30"}), ErrorCode.RATE_LIMITED),
    (error_reply(429, "No credit", code="insufficient_quota"), ErrorCode.REFUSED),
    (error_reply(400, "Too long", code="context_length_exceeded"), ErrorCode.TOO_LARGE),
    (error_reply(500, "Oops"), ErrorCode.MODEL_FAILED),
    (ServerReply(body=b'{"id": "chatcmpl-1", "choi'), ErrorCode.MODEL_FAILED),
    (ServerReply(body=b'{"models": []}'), ErrorCode.MODEL_FAILED),
    (chat_reply(""), ErrorCode.MODEL_FAILED),
    (chat_reply(" \n "), ErrorCode.MODEL_FAILED),
    (ServerReply(hang=True), ErrorCode.TIMED_OUT),
]


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize(("reply", "code"), FAILURES)
async def test_a_failure_is_told_in_one_line_without_the_key_and_marked_in_the_ledger(
    reply: ServerReply,
    code: ErrorCode,
    client: httpx2.AsyncClient,
    store: MemoryLedgerStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with ModelServer(always(reply)) as server:
        timeout = 0.2 if reply.hang else 30
        model = await opened(f"{server.url}/v1#tiny", client, store, timeout, INTELFORGE_LLM_API_KEY_127_0_0_1=KEY)
        with pytest.raises(ModelError) as caught:
            await model.complete("What?", instructions="", purpose="answer")
        assert len(server.requests) == 1
    assert caught.value.error_code is code
    assert f"compatible:{server.url.removeprefix('http://')}/tiny" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert KEY not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    (call,) = store.calls
    assert (call.state, call.error) == (CallState.FAILED, code.value)


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_server_that_is_down_cannot_be_reached(client: httpx2.AsyncClient, store: MemoryLedgerStore) -> None:
    async with ModelServer(always(chat_reply("Hello."))) as server:
        url = server.url
    model = await opened("ollama:tiny", client, store, OLLAMA_HOST=url)
    with pytest.raises(ModelError) as caught:
        await model.complete("What?", instructions="", purpose="answer")
    assert caught.value.error_code is ErrorCode.UNREACHABLE


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_hosted_model_is_reserved_and_settled_at_its_list_price(store: MemoryLedgerStore) -> None:
    answered: list[httpx2.URL] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        answered.append(request.url)
        assert request.headers["authorization"] == f"Bearer {KEY}"
        reserved.append(store.calls[0].reserved_usd)
        return httpx2.Response(200, content=chat_reply("Hello.", model="gpt-4o-mini", tokens=(1000, 1000)).body)

    reserved: list[float] = []
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as mocked:
        model = await opened("openai:gpt-4o-mini", mocked, store, OPENAI_API_KEY=KEY)
        completion = await model.complete("What?", instructions="", purpose="answer")
    assert answered[0].host == "api.openai.com"
    assert completion.cost_usd == pytest.approx(0.00075)
    assert store.calls[0].cost_usd == pytest.approx(0.00075)
    assert reserved[0] > 0.0006


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_price_that_is_not_known_is_not_taken_as_nothing(store: MemoryLedgerStore) -> None:
    reply = chat_reply("Hello.", model="brand-new")
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=reply.body))
    async with httpx2.AsyncClient(transport=transport) as mocked:
        model = await opened("openai:brand-new", mocked, store, OPENAI_API_KEY=KEY)
        assert (await model.complete("What?", instructions="", purpose="answer")).cost_usd is None


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
async def test_a_missing_key_names_provider_variable_and_fix(
    provider: str, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    with pytest.raises(ModelError) as caught:
        await opened(f"{provider}:@some/model", client, store)
    assert provider in str(caught.value)
    assert PROVIDERS[provider].keys[0] in str(caught.value)
    assert caught.value.hint


async def test_a_missing_package_names_what_to_install(
    client: httpx2.AsyncClient, store: MemoryLedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_ai.models.anthropic", None)
    with pytest.raises(BackendError) as caught:
        await opened("anthropic:claude-sonnet-4-5", client, store, ANTHROPIC_API_KEY=KEY)
    assert caught.value.error_code is ErrorCode.MISSING_EXTRA
    assert caught.value.hint == "pip install 'intelforge[anthropic]'"


async def test_an_unknown_provider_is_refused(client: httpx2.AsyncClient, store: MemoryLedgerStore) -> None:
    with pytest.raises(BackendError, match="carrier-pigeon"):
        await opened("carrier-pigeon:fast", client, store)


@pytest.mark.parametrize(
    ("url", "hint"),
    [("opnai:gpt-x", "did you mean openai:gpt-x;"), ("qwen3:8b", "ollama:qwen3:8b;"), ("gpt-x", "PROVIDER:MODEL;")],
)
async def test_a_provider_that_is_misspelt_or_left_out_is_told_with_those_there_are(
    url: str, hint: str, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    with pytest.raises(IntelForgeError) as caught:
        await opened(url, client, store)
    assert hint in caught.value.hint
    assert "mistral" in caught.value.hint


@pytest.mark.parametrize("text", ["", "It%20is%20so%20[2]."])
async def test_the_mock_replies_what_its_url_says(
    text: str, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    model = await opened(f"mock:{text}", client, store)
    completion = await model.complete("What?", instructions="", purpose="answer")
    assert completion.text == ("It is so [2]." if text else mock_model.DEFAULT_REPLY)
    assert store.calls[0].state is CallState.SETTLED


async def test_a_plug_in_may_give_a_model_of_pydantic_ai_and_gets_no_key(
    client: httpx2.AsyncClient, store: MemoryLedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Any, ...]] = []

    def factory(*arguments: Any) -> TestModel:
        given.append(arguments)
        return TestModel(custom_output_text="Pigeons.")

    monkeypatch.setattr(gateway_module, "load_backend", lambda kind, url: factory)
    model = await opened("pigeon:fast", client, store, OPENAI_API_KEY=KEY)
    assert (await model.complete("What?", instructions="", purpose="answer")).text == "Pigeons."
    assert given == [("pigeon:fast",)]
    assert not with_key(read_target("pigeon:fast", environment={}), {"OPENAI_API_KEY": KEY}).key


@pytest.mark.parametrize("url", ["openrouter:brand/new", "openai:brand-new"])
async def test_a_hosted_provider_is_named_by_its_url(
    url: str, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    assert (await opened(url, client, store, OPENROUTER_API_KEY=KEY, OPENAI_API_KEY=KEY)).name == url


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_of_a_chain_without_its_key_is_left_out_with_a_note(
    stream: bool, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        return stream_reply(["Hello."]) if request.json.get("stream") else chat_reply("Hello.")

    async with ModelServer(respond) as server:
        model = await opened("openai:gpt-x, groq:tiny, ollama:here", client, store, OLLAMA_HOST=server.url)
        for _ in range(2):
            if stream:
                end = [event async for event in model.stream(ask())][-1]
                assert isinstance(end, Done)
                response = end.response
            else:
                response = await model.respond(ask())
            assert (response.text, response.model) == ("Hello.", "ollama:here")
            assert response.notes == (
                "left out: openai:gpt-x needs a key, and OPENAI_API_KEY is not set",
                "left out: groq:tiny needs a key, and GROQ_API_KEY is not set",
            )
    assert [call.model for call in store.calls] == ["ollama:here"] * 2


async def test_a_chain_none_of_which_has_a_key_says_so_of_each(
    client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    with pytest.raises(ModelError, match=r"none of 2 models can be asked: openai:gpt-x .*; groq:tiny ") as caught:
        await opened("openai:gpt-x, groq:tiny", client, store)
    assert caught.value.error_code is ErrorCode.REFUSED
    assert "export OPENAI_API_KEY=" in caught.value.hint


async def test_a_provider_that_is_not_known_still_keeps_a_chain_from_opening(
    client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    with pytest.raises(BackendError, match="pigeon"):
        await opened("openai:gpt-x, pigeon:fast, mock:Hello.", client, store)


class ListedRouter:
    """A router that has its models asked in the order they are given."""

    trouble = ""

    def __init__(self, *urls: str) -> None:
        self.urls = urls
        self.asked: list[Sequence[str]] = []

    def candidates(self, url: str) -> tuple[str, ...]:
        return self.urls

    async def route(self, request: ChatRequest, *, url: str, among: Sequence[str] = ()) -> Route:
        self.asked.append(among)
        return Route(order=tuple(among), decision={})

    def learn(
        self,
        request: ChatRequest,
        route: Route,
        outcome: ChatResponse | Exception,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        pass


async def test_a_router_chooses_among_the_models_that_have_their_keys(
    client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    router = ListedRouter("openai:gpt-x", "mock:One.", "mock:Two.")
    routed = gateway(client, store)
    routed.lent = Lent(router=router)
    model = await routed.model("router:")
    assert model is not None
    response = await model.respond(ask())
    assert (response.text, response.notes) == (
        "One.",
        ("left out: openai:gpt-x needs a key, and OPENAI_API_KEY is not set",),
    )
    assert router.asked == [["mock:One.", "mock:Two."]]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_servers_with_a_model_of_the_same_name_share_nothing(
    client: httpx2.AsyncClient, store: MemoryLedgerStore, tmp_path: Path
) -> None:
    shared = gateway(client, store)
    cache = ResponseCache(DiskReplies(tmp_path / "replies.db", life=3600, size=1 << 20))
    shared.lent = Lent(cache=cache)
    async with ModelServer(always(chat_reply("One."))) as one, ModelServer(always(chat_reply("Two."))) as two:
        texts = []
        for server in (one, two, one):
            model = await shared.model(f"{server.url}/v1#tiny")
            assert model is not None
            texts.append((await model.respond(ask())).text)
        assert texts == ["One.", "Two.", "One."]
        assert (len(one.requests), len(two.requests)) == (1, 1)
        assert [request.json["model"] for request in (*one.requests, *two.requests)] == ["tiny", "tiny"]
        names = [f"compatible:{server.url.removeprefix('http://')}/tiny" for server in (one, two)]
    assert [call.model for call in store.calls] == names
    assert shared.names() == names
    await cache.close()


async def test_what_a_user_says_a_model_costs_is_for_its_server_alone(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text('{"https://a.example/v1#tiny": {"input_usd_per_million": 2, "output_usd_per_million": 4}}')
    catalogue = Catalogue(overrides=read_overrides(facts), environment={})
    prices = GivenPrices(catalogue.given_prices)
    here, there = (read_target(f"https://{host}/v1#tiny", environment={}) for host in ("a.example", "b.example"))
    tokens = Tokens(input=1_000_000)
    assert prices.cost(here.provider, here.model, tokens) == 2
    assert prices.cost(there.provider, there.model, tokens) is None
    assert catalogue.facts(here.name).known
    assert not catalogue.facts(there.name).known


WEATHER = Tool(name="weather", description="", parameters={"type": "object"})
BAD = [
    (error_reply(404, "no", code="model_not_found"), ask(), "is not there (HTTP 404)", "check its name"),
    (error_reply(401, KEY), ask(), "refused the key (HTTP 401)", "set {key}, or check it"),
    (error_reply(403, KEY), ask(), "refused the key (HTTP 403)", "set {key}, or check it"),
    (error_reply(400, "it exceeds the available context size"), ask(), "cannot read so much", "larger context"),
    (error_reply(400, "no", code="context_length_exceeded"), ask(), "cannot read so much", "larger context"),
    (tool_reply("weather", "[1]"), ask(tools=(WEATHER,)), "'weather' with arguments that are no JSON", "call tools"),
    (tool_reply("bomb", "{}"), ask(tools=(WEATHER,)), "was not given: 'bomb'", "call tools"),
    (chat_reply(""), ask(), "gave an empty reply", "choose another model"),
    (ServerReply(body=b"<html>"), ask(), "gave no usable reply", "check that its address is its API's"),
    (error_reply(400, "too hot"), ask(temperature=9.0), "cannot do what was asked (HTTP 400): too hot", "check temp"),
    (error_reply(400, f"no {KEY}"), ask(temperature=9.0), "cannot do what was asked (HTTP 400)", "check temperature"),
    (error_reply(413, "too large"), ask(), "cannot read so much (HTTP 413): too large", "larger context"),
    (error_reply(405, "no"), ask(), "is not at that address (HTTP 405)", "check its address"),
    (error_reply(400, "could not parse the JSON body"), ask(), "could not read what it was sent", "report it"),
    (
        error_reply(400, "bad max_tokens"),
        ask(),
        "cannot do what was asked (HTTP 400): bad max_tokens",
        "llm_max_tokens",
    ),
    (error_reply(400, "bad max_tokens"), ask(max_tokens=9), "cannot do what was asked", "check temperature, lengths"),
]


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize(("reply", "request_", "problem", "fix"), BAD)
async def test_bad_input_is_told_with_provider_model_and_fix(
    reply: ServerReply, request_: ChatRequest, problem: str, fix: str, store: MemoryLedgerStore
) -> None:
    async with ModelServer(always(reply)) as server, httpx2.AsyncClient(trust_env=False) as client:
        place = server.url.removeprefix("http://")
        model = await opened(f"{server.url}/v1#tiny", client, store, INTELFORGE_LLM_API_KEY_127_0_0_1=KEY)
        with pytest.raises(ModelError) as caught:
            await model.respond(request_)
    assert caught.value.message.startswith(f"compatible:{place}/tiny ")
    assert problem in caught.value.message
    assert fix.format(key="INTELFORGE_LLM_API_KEY_127_0_0_1") in caught.value.hint
    assert KEY not in str(caught.value)


async def test_a_prompt_over_the_window_is_told_with_model_window_and_fix(
    client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    name = "compatible:127.0.0.1:9/tiny"
    catalogue = Catalogue(overrides={name: Override(context_window=100)}, environment={})
    small = gateway(client, store)
    small.lent = Lent(window=CatalogueWindow(catalogue=catalogue))
    model = await small.model("http://127.0.0.1:9/v1#tiny")
    assert model is not None
    with pytest.raises(ModelError, match=rf"{name} has room for \d+ of its window of 100") as caught:
        await model.respond(ask("word " * 500))
    assert caught.value.error_code is ErrorCode.TOO_LARGE
    assert "larger window" in caught.value.hint

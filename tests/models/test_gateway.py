"""Opening a language model by its URL, and asking it over a real socket."""

import asyncio
import logging
import sys
from typing import Any

import httpx2
import pytest
from pydantic_ai.models.test import TestModel

from intelforge.core.errors import BackendError, EgressError, ErrorCode, IntelForgeError, ModelError
from intelforge.models import gateway as gateway_module
from intelforge.models.endpoint import Limits
from intelforge.models.gateway import Gateway, Options
from intelforge.models.ledger import CallState, Ledger, MemoryLedgerStore
from intelforge.models.protocol import LanguageModel
from intelforge.models.providers import PROVIDERS
from intelforge.models.resilience import RetryPolicy
from intelforge.models.targets import hosts_of, read_target
from intelforge.security.egress import Egress
from intelforge.testing import mock_model
from intelforge.testing.model_server import (
    ModelServer,
    Respond,
    ServerReply,
    chat_reply,
    error_reply,
    tags_reply,
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
            model = await opened(url, guarded, store, INTELFORGE_LLM_API_KEY=KEY)
            assert (await model.complete("What?", instructions="", purpose="answer")).text == "Hello."
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert KEY not in repr(model)


FAILURES = [
    (error_reply(401, f"Incorrect API key provided: {KEY}", code="invalid_api_key"), ErrorCode.REFUSED),
    (error_reply(404, "model 'tiny' not found", code="model_not_found"), ErrorCode.MISSING_MODEL),
    (error_reply(429, "Rate limit reached", headers={"retry-after": "30"}), ErrorCode.MODEL_FAILED),
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
        model = await opened(f"{server.url}/v1#tiny", client, store, timeout, INTELFORGE_LLM_API_KEY=KEY)
        with pytest.raises(ModelError) as caught:
            await model.complete("What?", instructions="", purpose="answer")
        assert len(server.requests) == 1
    assert caught.value.error_code is code
    assert "compatible:tiny" in str(caught.value)
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
    assert not read_target("pigeon:fast", environment={"OPENAI_API_KEY": KEY}).key


@pytest.mark.parametrize("url", ["openrouter:brand/new", "openai:brand-new"])
async def test_a_hosted_provider_is_named_by_its_url(
    url: str, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    assert (await opened(url, client, store, OPENROUTER_API_KEY=KEY, OPENAI_API_KEY=KEY)).name == url

"""Whether a model can be reached, lets us in and is there."""

from typing import Any

import httpx2
import pytest

from intelforge.core.model_reports import ModelCheck
from intelforge.models.gateway import Gateway
from intelforge.models.ledger import Ledger, MemoryLedgerStore
from intelforge.security.egress import Egress
from intelforge.testing.model_server import ModelServer, ServerReply, chat_reply, error_reply, json_reply

KEY = "sk-verysecret-0123456789"


async def checked(
    url: str, client: httpx2.AsyncClient, store: MemoryLedgerStore, **environment: str
) -> list[ModelCheck]:
    return await Gateway(client=client, ledger=Ledger(store), environment=environment).check(url)


def listing(*names: str) -> ServerReply:
    return json_reply({"object": "list", "data": [{"id": name} for name in names]})


async def test_a_model_that_is_there_is_fine_and_nothing_was_spent(
    client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    async with ModelServer(lambda request: listing("tiny", "large")) as server:
        (check,) = await checked(f"{server.url}/v1#tiny", client, store, INTELFORGE_LLM_API_KEY_127_0_0_1=KEY)
        (request,) = server.requests
    assert (check.name, check.ok) == (f"compatible:{server.url.removeprefix('http://')}/tiny", True)
    assert (check.reachable, check.authorised, check.present, check.local) == (True, True, True, True)
    assert (check.tools, check.json_schema) == (True, True)
    assert (request.path, request.headers["authorization"]) == ("/v1/models", f"Bearer {KEY}")
    assert store.calls == ()


@pytest.mark.parametrize(
    ("reply", "found", "hint"),
    [
        (error_reply(401, f"bad key {KEY}"), (True, False, None), "INTELFORGE_LLM_API_KEY_127_0_0_1"),
        (error_reply(403, f"bad key {KEY}"), (True, False, None), "INTELFORGE_LLM_API_KEY_127_0_0_1"),
        (listing("large", "small"), (True, True, False), "large, small"),
    ],
)
async def test_what_is_wrong_is_told_with_the_way_to_mend_it(
    reply: ServerReply, found: tuple[Any, ...], hint: str, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    async with ModelServer(lambda request: reply) as server:
        (check,) = await checked(f"{server.url}/v1#tiny", client, store, INTELFORGE_LLM_API_KEY_127_0_0_1=KEY)
    assert (check.reachable, check.authorised, check.present) == found
    assert f"compatible:{server.url.removeprefix('http://')}/tiny" in check.problem
    assert hint in check.hint
    assert KEY not in repr(check)


async def test_a_server_that_is_down_is_not_reached(client: httpx2.AsyncClient, store: MemoryLedgerStore) -> None:
    async with ModelServer(lambda request: listing()) as server:
        url = server.url
    (check,) = await checked("ollama:tiny", client, store, OLLAMA_HOST=url)
    assert (check.reachable, check.authorised, check.ok) == (False, None, False)


@pytest.mark.parametrize(
    ("shown", "able"),
    [
        (json_reply({"capabilities": ["completion", "vision"]}), (False, True)),
        (json_reply({"capabilities": ["completion", "tools"]}), (True, False)),
        (error_reply(404, "an older Ollama"), (True, True)),
        (json_reply({"details": {}}), (True, True)),
    ],
)
async def test_ollama_says_what_its_models_can_do(
    shown: ServerReply, able: tuple[bool, bool], client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    replies = {"/v1/models": listing("tiny:latest"), "/api/show": shown}
    async with ModelServer(lambda request: replies[request.path]) as server:
        (check,) = await checked("ollama:tiny", client, store, OLLAMA_HOST=server.url)
        assert server.requests[-1].json == {"model": "tiny"}
    assert (check.present, check.tools, check.images) == (True, *able)


async def test_nothing_is_said_of_a_model_that_is_not_there(
    client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    async with ModelServer(lambda request: listing("large")) as server:
        (check,) = await checked(f"{server.url}/v1#tiny", client, store)
    assert (check.tools, check.json_schema, check.images) == (None, None, None)


async def test_a_host_that_egress_refuses_is_not_reached(store: MemoryLedgerStore) -> None:
    async with ModelServer(lambda request: listing("tiny")) as server, Egress().client() as guarded:
        (check,) = await checked(f"{server.url}/v1#tiny", guarded, store)
        assert server.requests == []
    assert not check.reachable
    assert "allow_hosts" in check.hint


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize(
    ("reply", "present", "fine"),
    [
        (chat_reply("ok"), True, True),
        (chat_reply(""), True, True),
        (error_reply(404, "no such model", code="model_not_found"), False, False),
    ],
)
async def test_a_server_that_lists_nothing_is_asked(
    reply: ServerReply, present: bool, fine: bool, client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    replies = {"/v1/models": error_reply(404, "no list"), "/v1/chat/completions": reply}
    async with ModelServer(lambda request: replies[request.path]) as server:
        (check,) = await checked(f"{server.url}/v1#tiny", client, store)
    assert (check.reachable, check.present, check.ok) == (True, present, fine)
    assert [call.purpose for call in store.calls] == ["check"]


async def test_each_of_a_chain_is_looked_at_and_one_that_cannot_be_opened_says_why(
    client: httpx2.AsyncClient, store: MemoryLedgerStore
) -> None:
    no_key, unknown, mock = await checked("openai:gpt-x, pigeon:fast, mock:Fine.", client, store)
    assert (no_key.name, no_key.authorised, no_key.ok) == ("openai:gpt-x", False, False)
    assert "OPENAI_API_KEY" in no_key.hint
    assert not unknown.ok
    assert mock.ok


@pytest.mark.parametrize("url", ["none:", "auto"])
async def test_no_model_is_no_check(url: str, client: httpx2.AsyncClient, store: MemoryLedgerStore) -> None:
    async with ModelServer(lambda request: error_reply(500, "")) as server:
        assert await checked(url, client, store, OLLAMA_HOST=server.url) == []


@pytest.mark.parametrize(
    ("url", "key", "paths", "present"),
    [
        ("gemini:gemini-x", "GEMINI_API_KEY", ["/v1beta/openai/models"], True),
        ("cohere:command-x", "COHERE_API_KEY", ["/v1/models"], True),
        ("openrouter:vendor/name", "OPENROUTER_API_KEY", ["/api/v1/models", "/api/v1/key"], True),
        ("portkey:@team/gpt-x", "PORTKEY_API_KEY", ["/v1/models"], None),
    ],
)
async def test_each_provider_is_asked_for_its_list_where_it_has_it(
    url: str, key: str, paths: list[str], present: bool | None, store: MemoryLedgerStore
) -> None:
    seen: list[str] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.path)
        rows = [{"id": "models/gemini-x"}, {"id": "vendor/name"}]
        models = [{"name": "command-x"}]
        return httpx2.Response(200, json={"models": models} if request.url.host == "api.cohere.ai" else {"data": rows})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as client:
        (check,) = await checked(url, client, store, **{key: KEY})
    assert seen == paths
    assert (check.ok, check.present) == (True, present)


async def test_a_key_that_openrouter_refuses_is_found_although_its_list_is_open(store: MemoryLedgerStore) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(401 if request.url.path.endswith("/key") else 200, json={"data": []})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as client:
        (check,) = await checked("openrouter:vendor/name", client, store, OPENROUTER_API_KEY=KEY)
    assert check.authorised is False


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (chat_reply("ok"), (True, True, "")),
        (error_reply(404, "no such model", code="model_not_found"), (False, True, "grok-4-0709")),
        (error_reply(400, "Incorrect API key provided"), (None, False, "XAI_API_KEY")),
        (error_reply(500, ""), (False, True, "grok-4-0709")),
    ],
)
async def test_a_name_that_a_provider_does_not_list_may_be_one_all_the_same(
    reply: ServerReply, found: tuple[bool | None, bool, str], store: MemoryLedgerStore
) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        answer = listing("grok-4-0709") if request.method == "GET" else reply
        return httpx2.Response(answer.status, content=answer.body)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as client:
        (check,) = await checked("xai:grok-4", client, store, XAI_API_KEY=KEY)
    present, authorised, hint = found
    assert (check.present, check.authorised) == (present, authorised)
    assert hint in check.hint

"""What leaves the API when a provider does not take a request: a real workspace, a provider on a loopback socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pydantic_ai.models
import pytest

from intelforge.testing.api_server import served
from intelforge.testing.model_server import ModelServer, ServerReply, ServerRequest, chat_reply, error_reply
from intelforge.workspace import Workspace

HELLO: Any = [{"role": "user", "content": "Hello?"}]
KEY = "sk-verysecret-0123456789"
LEAN = 'jobs = "memory:"\nembedder = "none:"\ncache = "none:"\n'
TOO_HOT = error_reply(400, "Invalid 'temperature': expected a value <= 2, but got 9.")


@pytest.fixture(autouse=True)
def _allow_loopback_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
    monkeypatch.setenv("INTELFORGE_LLM_API_KEY_127_0_0_1", KEY)


@asynccontextmanager
async def asking(
    folder: Path, respond: Callable[[ServerRequest], ServerReply], *names: str
) -> AsyncIterator[tuple[Any, ModelServer]]:
    """OpenAI's client of our server, and the provider behind that, whose models of these names are a chain."""
    async with asyncio.timeout(60), ModelServer(respond) as provider:
        chain = ", ".join(f"{provider.url}/v1#{name}" for name in names or ("tiny",))
        (folder / "intelforge.toml").write_text(f'{LEAN}llm = "{chain}"\n', encoding="utf-8")
        async with (
            Workspace.open(folder) as workspace,
            served(workspace.chatting) as (host, port),
            openai.AsyncOpenAI(base_url=f"http://{host}:{port}/v1", api_key="none", max_retries=2) as api,
        ):
            yield api, provider


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 422])
async def test_a_request_that_the_provider_rejects_is_the_client_s_with_the_reason(
    tmp_path: Path, status: int, *, stream: bool
) -> None:
    wrong = error_reply(status, "Invalid 'temperature': expected a value <= 2, but got 9.")
    async with asking(tmp_path, lambda request: wrong) as (api, provider):
        with pytest.raises(openai.BadRequestError, match=r"expected a value <= 2, but got 9; check") as raised:
            await api.chat.completions.create(model="auto", messages=HELLO, temperature=2, stream=stream)
    assert (raised.value.type, raised.value.code) == ("invalid_request_error", "rejected")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert len(provider.requests) == 1


async def test_a_chain_goes_on_to_the_next_model(tmp_path: Path) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        return TOO_HOT if request.json["model"] == "one" else chat_reply("Hello.")

    async with asking(tmp_path, respond, "one", "two") as (api, _):
        reply = await api.chat.completions.create(model="auto", messages=HELLO)
    assert reply.choices[0].message.content == "Hello."
    assert "fell back to" in reply.intelforge["notes"][0]


@pytest.mark.parametrize(("second", "raised"), [(400, openai.BadRequestError), (401, openai.InternalServerError)])
async def test_of_a_chain_all_must_reject_it(tmp_path: Path, second: int, raised: type[openai.APIStatusError]) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        return TOO_HOT if request.json["model"] == "one" else error_reply(second, "no")

    async with asking(tmp_path, respond, "one", "two") as (api, _):
        with pytest.raises(raised, match="none of 2 models answered"):
            await api.chat.completions.create(model="auto", messages=HELLO)


@pytest.mark.parametrize(
    "reply",
    [
        error_reply(400, "max_tokens is too large: 4096. This model writes at most 2048 tokens."),
        error_reply(400, "We could not parse the JSON body of your request."),
        error_reply(405, "Method Not Allowed"),
        ServerReply(status=308, headers={"location": "http://127.0.0.1:1/"}),
    ],
)
async def test_what_the_client_did_not_ask_for_is_not_its_fault(tmp_path: Path, reply: ServerReply) -> None:
    async with asking(tmp_path, lambda request: reply) as (api, provider):
        with pytest.raises(openai.InternalServerError) as raised:
            await api.chat.completions.create(model="auto", messages=HELLO)
    assert (raised.value.status_code, raised.value.code) == (502, "model_failed")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert len(provider.requests) == 1


async def test_a_length_that_the_client_asks_for_is(tmp_path: Path) -> None:
    wrong = error_reply(400, "max_tokens is too large: 9000. This model writes at most 2048 tokens.")
    async with asking(tmp_path, lambda request: wrong) as (api, _):
        with pytest.raises(openai.BadRequestError, match="at most 2048 tokens"):
            await api.chat.completions.create(model="auto", messages=HELLO, max_tokens=9000)


async def test_a_key_that_the_provider_repeats_goes_no_further(tmp_path: Path) -> None:
    async with asking(tmp_path, lambda request: error_reply(400, f"bad header Bearer {KEY}")) as (api, _):
        with pytest.raises(openai.BadRequestError, match="cannot do what was asked") as raised:
            await api.chat.completions.create(model="auto", messages=HELLO)
    assert KEY not in raised.value.response.text
    assert "Bearer" not in raised.value.response.text

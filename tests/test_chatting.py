"""A workspace's models as other programs use them, on servers on loopback sockets."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydantic_ai.models
import pytest

from intelforge.core.chat import Accounting, ChatRequest, Done, Message, Role, Tool
from intelforge.core.errors import ErrorCode, InvalidInputError, ModelError, NotFoundError
from intelforge.models.catalogue import catalogue
from intelforge.testing.model_server import ModelServer, ServerReply, ServerRequest, chat_reply, stream_reply
from intelforge.workspace import Workspace

KEY = "sk-verysecret-0123456789"
LEAN = 'jobs = "memory:"\nembedder = "none:"\ncache = "none:"\n'


def replies(request: ServerRequest) -> ServerReply:
    name = request.json["model"]
    return stream_reply(["I am ", f"{name}."]) if request.json.get("stream") else chat_reply(f"I am {name}.")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
    async with ModelServer(replies) as opened:
        yield opened


def made(folder: Path, settings: str) -> Workspace:
    (folder / "intelforge.toml").write_text(LEAN + settings, encoding="utf-8")
    return Workspace.open(folder)


def asked(text: str = "Who are you?") -> ChatRequest:
    return ChatRequest(messages=(Message.of(Role.USER, text),))


async def test_models_are_asked_by_the_names_of_the_settings(tmp_path: Path, server: ModelServer) -> None:
    one, two = f"{server.url}/v1#one", f"{server.url}/v1#two"
    async with made(tmp_path, f'llm = "{one}"\nllm_models = ["{two}"]\n') as workspace:
        assert (await workspace.chatting.chat(asked(), model="auto")).text == "I am one."
        assert (await workspace.chatting.chat(asked(), model=two)).text == "I am two."
        events = [event async for event in workspace.chatting.chat_stream(asked(), model=two)]
        assert isinstance(events[-1], Done)
        assert events[-1].response.text == "I am two."
        with pytest.raises(NotFoundError, match=r"no model 'openai:gpt'; ask for auto, http://.*llm_models"):
            await workspace.chatting.chat(asked(), model="openai:gpt")
        names = [(found.name, found.kind) for found in await workspace.chatting.models()]
        assert names == [("auto", "chat"), (two, "chat"), ("embedder", "embedding")]


async def test_a_workspace_without_a_language_model_says_how_to_set_one(tmp_path: Path) -> None:
    async with made(tmp_path, 'llm = "none:"\n') as workspace:
        with pytest.raises(ModelError, match="config set llm") as raised:
            await workspace.chatting.chat(asked(), model="auto")
        assert raised.value.error_code is ErrorCode.MISSING_MODEL


async def test_texts_are_embedded_as_the_index_does(tmp_path: Path) -> None:
    (tmp_path / "intelforge.toml").write_text('llm = "none:"\njobs = "memory:"\n', encoding="utf-8")
    async with Workspace.open(tmp_path) as workspace:
        found = await workspace.chatting.embed(["one two three", "four"], model="embedder", accounting=Accounting())
        assert found.vectors.shape == (2, 384)
        assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-2)
        assert found.tokens == 4
        with pytest.raises(InvalidInputError, match="text 1 is empty"):
            await workspace.chatting.embed(["one", " "], model="embedder", accounting=Accounting())
        with pytest.raises(NotFoundError, match="ask for embedder"):
            await workspace.chatting.embed(["one"], model="other", accounting=Accounting())


async def test_without_an_embedder_nothing_is_embedded(tmp_path: Path) -> None:
    async with made(tmp_path, 'llm = "none:"\n') as workspace:
        with pytest.raises(ModelError, match="no embedder"):
            await workspace.chatting.embed(["one"], model="embedder", accounting=Accounting())


async def test_the_router_chooses_learns_from_ratings_and_is_frozen_by_another_process(
    tmp_path: Path, server: ModelServer
) -> None:
    one, two = f"{server.url}/v1#one", f"{server.url}/v1#two"
    settings = (
        f'llm = "router:"\nllm_models = ["{one}", "{two}"]\nrouter_preference = "quality"\nrouter_explore = 0.5\n'
    )
    async with made(tmp_path, settings) as workspace:
        for number in range(30):
            response = await workspace.chatting.chat(asked(f"Who are you, number {number}?"), model="auto")
            assert response.decision
            good = response.text == "I am two."
            await workspace.routing.rate(response.decision["call"], float(good))
        status = await workspace.routing.status()
        assert {found.model for found in status.models} == {one, two}
        assert sum(found.judged for found in status.models) == 30
        later = [
            await workspace.chatting.chat(asked(f"And who are you, {number}?"), model="auto") for number in range(9)
        ]
        decisions = [response.decision for response in later if response.decision]
        assert {told["ranking"][0] for told in decisions if not told["explored"]} == {two}
        assert all(told["reason"] for told in decisions)
    async with made(tmp_path, settings) as workspace:
        assert (await workspace.routing.freeze()).frozen
        response = await workspace.chatting.chat(asked("Once more?"), model="auto")
        assert (response.text, response.decision["explored"]) == ("I am two.", False)  # type: ignore[index]


async def test_models_that_cannot_be_asked_are_found_and_scripted_ones_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    listed = ServerReply(body=b'{"data": [{"id": "one"}]}', headers={"content-type": "application/json"})
    async with ModelServer(lambda request: listed) as server:
        one, two = f"{server.url}/v1#one", f"{server.url}/v1#two"
        settings = f'llm = "mock:Hello., openai:gpt-x, {one}"\nllm_models = ["{two}", "router:{one}, {two}"]\n'
        async with made(tmp_path, settings) as workspace:
            keyless, missing = await workspace.chatting.unwell()
            assert await workspace._parts.calls.all() == []
    assert (keyless.name, missing.name) == ("openai:gpt-x", f"compatible:{server.url.removeprefix('http://')}/two")
    assert "OPENAI_API_KEY" in keyless.problem
    assert "is not among the 1 models there" in missing.problem


async def test_a_server_that_repeats_its_key_leaves_it_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "intelforge_llm_api_key_127_0_0_1").write_text(KEY)
    settings = f'cache = "disk:{tmp_path / "kept"}"\nsecrets = "folder:{tmp_path / "secrets"}"\n'

    def repeated(request: ServerRequest) -> ServerReply:
        said = request.headers["authorization"] if "key" in request.body.decode() else "Hello."
        return chat_reply(f"You sent {said}")

    async with ModelServer(repeated) as server:
        (tmp_path / "intelforge.toml").write_text(
            f'jobs = "memory:"\nembedder = "none:"\n{settings}llm = "{server.url}/v1#one"\nllm_record = "runs.jsonl"\n'
        )
        async with Workspace.open(tmp_path) as workspace:
            for text in ("Your key?", "Your key?", "Hello?", "Hello?"):
                reply = await workspace.chatting.chat(asked(text), model="auto")
                assert (KEY in reply.text) is (text == "Your key?")
        assert len(server.requests) == 3  # what has no key in it is kept
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "secrets"]
    assert any(path.parent.name == "kept" for path in written)
    assert [path.name for path in written if KEY.encode() in path.read_bytes()] == []


async def test_what_another_process_measures_counts_while_the_models_are_served(
    tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "REFRESHED_SECONDS", 0.0)
    request = replace(asked(), tools=(Tool(name="weather", description="", parameters={"type": "object"}),))
    async with made(tmp_path, f'llm = "{server.url}/v1#one"\n') as serving:
        await serving.chatting.chat(request, model="auto")
        assert "tools" in server.requests[-1].json
        async with Workspace.open(tmp_path) as measuring:
            await measuring.models.probe(f"{server.url}/v1#one", context=0)  # it calls none
        await serving.chatting.chat(request, model="auto")
        assert "tools" not in server.requests[-1].json

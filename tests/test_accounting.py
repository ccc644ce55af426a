"""Calls that are made on the way, to embed, rerank and summarise, are entered for whom they are made."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pydantic_ai.models
import pytest

from intelforge.core.chat import Accounting, ChatRequest, Message, Role
from intelforge.core.costs import EACH, Budget, Period, Scope
from intelforge.core.errors import BudgetError
from intelforge.core.search import SearchRequest
from intelforge.testing.api_double import rerouted
from intelforge.testing.embedding_server import EmbeddingServer
from intelforge.testing.model_server import ModelServer, ServerReply, ServerRequest, chat_reply
from intelforge.testing.rerank_server import RerankServer
from intelforge.workspace import Workspace

LEAN: Final = 'jobs = "memory:"\nworkers = 1\nmodel_facts = "facts.json"\n'
PRICES: Final = {"input_usd_per_million": 1, "output_usd_per_million": 2}
FACTS: Final = {
    "openai:embeds": {"input_usd_per_million": 1},
    "voyage:ranks": {"input_usd_per_million": 1},
    "openai:chats": {**PRICES, "context_window": 4000},
}
ANN: Final = Accounting(user="ann", team="sales", run="r1")
BOB: Final = Accounting(user="bob")
SENTENCE: Final = "A timeout cancels the task, and waits until it is really cancelled."


def replies(request: ServerRequest) -> ServerReply:
    if "embeddings" in request.path:
        return EmbeddingServer().respond(request)
    if "rerank" in request.path:
        return RerankServer(key="k").respond(request)
    return chat_reply("It was cancelled.")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("VOYAGE_API_KEY", "k")


@asynccontextmanager
async def opened(folder: Path, settings: str) -> AsyncIterator[Workspace]:
    """A workspace all of whose calls reach one server, whatever their host."""
    (folder / "intelforge.toml").write_text(LEAN + settings, encoding="utf-8")
    (folder / "facts.json").write_text(json.dumps(FACTS), encoding="utf-8")
    async with ModelServer(replies) as server, rerouted(server.url) as client, Workspace.open(folder) as workspace:
        vars(workspace._parts)["_model_client"] = client
        yield workspace


async def entered(workspace: Workspace, kind: str) -> list[tuple[Any, ...]]:
    names = ("user", "team", "run", "purpose")
    return [tuple(row[name] for name in names) for row in await workspace._parts.calls.all() if row["kind"] == kind]


async def hold(workspace: Workspace, limit: float) -> None:
    """A hard budget of each user alone."""
    await workspace.costs.set_budget(Budget(scope=Scope(user=EACH), period=Period.TOTAL, limit_usd=limit))


async def test_embeddings_are_entered_and_refused_for_whom_they_are_made(tmp_path: Path) -> None:
    async with opened(tmp_path, 'embedder = "openai:embeds"\nllm = "none:"\n') as workspace:
        embed = workspace.chatting.embed
        await embed([SENTENCE], model="embedder", accounting=ANN)
        assert await entered(workspace, "embedding") == [("ann", "sales", "r1", "embed")]
        await hold(workspace, 10e-6)
        with pytest.raises(BudgetError, match="budget of user ann"):
            await embed(["Another one. " + SENTENCE], model="embedder", accounting=ANN)
        await hold(workspace, 1.0)
        await embed([SENTENCE], model="embedder", accounting=BOB)  # out of the cache
        await embed(["A third one. " + SENTENCE], model="embedder", accounting=BOB)
        assert [name for name, *_ in await entered(workspace, "embedding")] == ["ann", "bob"]


async def test_searches_embed_and_rerank_for_whom_they_are_made(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.txt").write_text(SENTENCE, encoding="utf-8")
    settings = 'embedder = "openai:embeds"\nreranker = "voyage:ranks"\nrerank_seconds = 60\nllm = "none:"\n'
    async with opened(tmp_path, settings) as workspace:
        await workspace.add(tmp_path / "docs")
        await workspace.sync()
        assert {name for name, *_ in await entered(workspace, "embedding")} == {""}
        found = await workspace.search(SearchRequest(query="when is a task cancelled", rerank=True), accounting=ANN)
        assert found.notes == ()
        assert (await entered(workspace, "embedding"))[-1] == ("ann", "sales", "r1", "embed")
        assert await entered(workspace, "reranking") == [("ann", "sales", "r1", "rerank")]
        await hold(workspace, 10e-6)
        found = await workspace.search(SearchRequest(query="when is it cancelled", rerank=True), accounting=ANN)
        assert len(found.hits) == 1
        assert ["the budget of user ann" in note for note in found.notes] == [True, True]
        assert len(await entered(workspace, "reranking")) == 1
        with pytest.raises(BudgetError, match="budget of user bob"):
            await workspace.ask("When is a task cancelled?", accounting=BOB)
        await hold(workspace, 1.0)
        assert (await workspace.ask("When is a task cancelled?", accounting=BOB)).sentences
        assert (await entered(workspace, "reranking"))[-1] == ("bob", "", "", "rerank")


async def test_routing_calls_nobody(tmp_path: Path) -> None:
    settings = 'embedder = "openai:embeds"\nllm = "router:openai:chats, mock:"\ncache = "none:"\n'
    async with opened(tmp_path, settings) as workspace:
        request = ChatRequest(messages=(Message.of(Role.USER, "When is a task cancelled?"),), accounting=ANN)
        assert (await workspace.chatting.chat(request, model="auto")).decision
        assert await entered(workspace, "embedding") == []


async def test_summaries_are_entered_for_whom_they_are_written(tmp_path: Path) -> None:
    settings = 'embedder = "none:"\ncache = "none:"\nllm = "openai:chats"\nllm_overflow = "summarise"\n'
    turns = tuple(Message.of(Role.USER, f"{number} " + "word " * 400) for number in range(20))
    async with opened(tmp_path, settings) as workspace:
        response = await workspace.chatting.chat(
            ChatRequest(messages=turns, max_tokens=100, accounting=ANN), model="auto"
        )
        assert "a summary stands in their place" in response.notes
        *summaries, chat = await entered(workspace, "chat")
        assert set(summaries) == {("ann", "sales", "r1", "summary")}
        assert chat == ("ann", "sales", "r1", "chat")
        await hold(workspace, 1e-6)
        with pytest.raises(BudgetError, match="budget of user ann"):
            await workspace.chatting.chat(ChatRequest(messages=turns[1:], accounting=ANN), model="auto")


async def test_a_lookup_that_one_caller_cannot_pay_is_no_trouble_of_others(tmp_path: Path) -> None:
    settings = 'embedder = "openai:embeds"\nllm = "openai:chats"\ncache_similarity = 0.9\n'

    def asked(text: str, accounting: Accounting) -> ChatRequest:
        return ChatRequest(messages=(Message.of(Role.USER, text),), max_tokens=9, accounting=accounting)

    async with opened(tmp_path, settings) as workspace:
        await workspace.chatting.chat(asked("When is a task cancelled?", ANN), model="auto")
        assert await entered(workspace, "embedding") == [("ann", "sales", "r1", "embed")]
        budget = Budget(scope=Scope(user="ann", model="openai:embeds"), period=Period.TOTAL, limit_usd=0.0)
        await workspace.costs.set_budget(budget)
        await workspace.chatting.chat(asked("When is another task cancelled?", ANN), model="auto")
        told = await workspace.chatting.chat(asked("When does a task begin?", BOB), model="auto")
        assert [note for note in told.notes if "ann" in note] == []
        assert [name for name, *_ in await entered(workspace, "embedding")] == ["ann", "bob"]

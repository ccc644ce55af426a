"""What may only go to models on this machine goes to no other, and a kept reply goes to no other access list."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pydantic_ai.models
import pytest

from intelforge import Workspace
from intelforge.core.chat import Accounting
from intelforge.core.errors import ModelError
from intelforge.core.search import SearchRequest
from intelforge.parts import Parts
from intelforge.testing.embedding_server import vector_of
from intelforge.testing.model_server import ModelServer, chat_reply

LEAN = 'embedder = "none:"\nllm = "none:"\njobs = "memory:"\nworkers = 1\n'
AWAY = {"embedder": "openai:m", "reranker": "cohere:m", "llm": "openai:gpt-x", "rerank_seconds": 60}
QUESTION = "Where does the treasure of the captain lie?"
OPEN = "# Song\n\nThe treasure of the captain lies in his songs, sang the crew.\n"
SECRET = "# Map\n\nThe treasure of the captain lies below the marmalade oak.\n"


@dataclass
class Elsewhere(httpx2.AsyncBaseTransport):
    """Every model that is not on this machine; notes what it was given."""

    given: dict[str, list[str]] = field(default_factory=dict)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = (await request.aread()).decode()
        what = request.url.path.rpartition("/")[2]
        self.given.setdefault(what, []).append(body)
        return httpx2.Response(200, json=self.replied(what, json.loads(body)))

    def replied(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        if what == "embeddings":
            rows = [{"index": row, "embedding": vector_of(text).tolist()} for row, text in enumerate(asked["input"])]
            return {"data": rows}
        if what == "rerank":
            return {"results": [{"index": row, "relevance_score": 0.5} for row in range(len(asked["documents"]))]}
        reply: dict[str, Any] = json.loads(chat_reply("It lies in his songs [1].").body)
        return reply

    def was_given(self, words: str) -> set[str]:
        """The kinds of models that were given these words."""
        return {what for what, bodies in self.given.items() if any(words in body for body in bodies)}


@pytest.fixture
async def elsewhere(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Elsewhere]:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
    for name in ("OPENAI_API_KEY", "COHERE_API_KEY"):
        monkeypatch.setenv(name, "sk-secret-0123456789")
    found = Elsewhere()
    async with httpx2.AsyncClient(transport=found) as client:
        monkeypatch.setattr(Parts, "_model_client", client)
        yield found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = Workspace.init(tmp_path / "workspace")
    (folder / "intelforge.toml").write_text(LEAN)
    for name, text in (("open", OPEN), ("secret", SECRET)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.md").write_text(text)
    return folder


async def test_nothing_of_such_a_source_goes_elsewhere_until_it_may(root: Path, elsewhere: Elsewhere) -> None:
    open_, secret = root.parent / "open", root.parent / "secret"
    async with Workspace.open(root, **AWAY) as workspace:
        await workspace.add(open_)
        await workspace.add(secret, local_models_only=True)
        await workspace.sync()
        result = await workspace.search(SearchRequest(query=QUESTION, rerank=True))
        answer = await workspace.ask(QUESTION)
        status = await workspace.status()
        assert elsewhere.was_given("marmalade") == set()
        assert elsewhere.was_given("sang the crew") == {"embeddings", "rerank"}
        assert len(result.hits) == 2
        assert any("did not look at what may only go to local models" in note for note in result.notes)
        assert answer.model == "extractive"
        assert "marmalade oak" in answer.text
        assert any(
            "a passage may only go to models on this machine: openai:gpt-x is not" in one for one in answer.notes
        )
        assert (status.chunks, status.embedded, status.embedding_eta) == (2, 1, 0.0)
        assert any(note.startswith("1 chunks are found by their words alone") for note in status.notes)
        assert not any("not all chunks are embedded yet" in note for note in answer.notes)
        assert (await workspace.ask(QUESTION, source=str(open_))).model == "openai:gpt-x"
        assert elsewhere.was_given("marmalade") == set()

        await workspace.limit_models(str(secret), local_only=False)
        assert (await workspace.sync()).chunks_embedded == 1
        assert (await workspace.ask(QUESTION)).model == "openai:gpt-x"
        assert elsewhere.was_given("marmalade") == {"embeddings", "rerank", "completions"}
        assert not any("words alone" in note for note in (await workspace.status()).notes)


@pytest.mark.parametrize("llm", ["openai:gpt-x, mock:", "router:openai:gpt-x, mock:"])
async def test_of_several_models_the_one_on_this_machine_writes(root: Path, elsewhere: Elsewhere, llm: str) -> None:
    async with Workspace.open(root, llm=llm) as workspace:
        await workspace.add(root.parent / "secret", local_models_only=True)
        await workspace.sync()
        assert (await workspace.ask(QUESTION)).model == "mock:"
    assert elsewhere.given == {}


async def test_sentences_are_quoted_when_the_router_has_none_on_this_machine(root: Path, elsewhere: Elsewhere) -> None:
    async with Workspace.open(root, llm="router:openai:gpt-x, openai:gpt-y") as workspace:
        await workspace.add(root.parent / "secret", local_models_only=True)
        await workspace.sync()
        answer = await workspace.ask(QUESTION)
    assert answer.model == "extractive"
    assert any("may only go to models on this machine: " in note for note in answer.notes)
    assert elsewhere.given == {}


async def test_a_new_version_of_the_index_is_built_without_what_may_not_leave(root: Path, elsewhere: Elsewhere) -> None:
    async with Workspace.open(root) as workspace:
        await workspace.add(root.parent / "open")
        await workspace.add(root.parent / "secret", local_models_only=True)
        await workspace.sync()
    async with Workspace.open(root, embedder="openai:m") as workspace:
        await workspace.sync()
    async with Workspace.open(root, embedder="openai:n") as workspace:
        assert (await workspace.sync()).chunks_embedded == 1
        [live] = [one for one in await workspace.index.versions() if one.version.state == "live"]
        assert (live.version.embedder, live.embedded) == ("openai:n", 1)
    assert elsewhere.was_given("sang the crew") == {"embeddings"}
    assert elsewhere.was_given("marmalade") == set()


async def test_a_kept_answer_is_given_to_no_other_access_list(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
    async with (
        ModelServer(lambda request: chat_reply("It lies in his songs [1].")) as server,
        Workspace.open(root, llm=f"{server.url}/v1#m") as workspace,
    ):
        await workspace.add(root.parent / "open")
        await workspace.sync()
        for expected, principals in enumerate((("ann",), ("bob",), ("ann", "bob"), ("*",)), 1):
            first = await workspace.ask(QUESTION, principals=principals)
            assert len(server.requests) == expected
            again = await workspace.ask(QUESTION, principals=principals[::-1])
            assert (len(server.requests), again.text, again.cost_usd) == (expected, first.text, 0.0)
        assert len({request.body for request in server.requests}) == 1


async def test_texts_are_embedded_elsewhere_only_where_they_may_leave(root: Path, elsewhere: Elsewhere) -> None:
    async with Workspace.open(root, **AWAY) as workspace:
        for local_only in (False, True):
            embedding = workspace.chatting.embed(
                ["marmalade"], model="embedder", accounting=Accounting(), local_only=local_only
            )
            if local_only:
                with pytest.raises(ModelError, match="openai:m is not on this machine"):
                    await embedding
            else:
                assert (await embedding).tokens
    assert len(elsewhere.given["embeddings"]) == 1

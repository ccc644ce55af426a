"""Language models of a real workspace, asked over a loopback socket."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydantic_ai.models
import pytest

from intelforge import Workspace
from intelforge.core.chat import Accounting, ChatRequest, Message, Role
from intelforge.core.errors import ConfigError, ErrorCode, InvalidInputError, ModelError, NotFoundError
from intelforge.core.model_reports import Preference, Skill
from intelforge.core.reports import Progress, Stage
from intelforge.modelling import recommend_model
from intelforge.models.response_cache.check import CHECK_FACT, read_check
from intelforge.testing.embedding_server import EmbeddingServer
from intelforge.testing.model_server import (
    ModelServer,
    ServerReply,
    ServerRequest,
    chat_reply,
    error_reply,
    stream_reply,
    tags_reply,
)

LEAN = 'jobs = "memory:"\nworkers = 1\nembedder = "none:"\n'


def reply(request: ServerRequest) -> ServerReply:
    """A model that talks, cites and knows when there is no evidence, and takes no tools."""
    if request.path.endswith("/api/tags"):
        return tags_reply([{"name": "tiny:latest", "details": {"parameter_size": "1B"}}])
    body: dict[str, Any] = request.json
    if body.get("tools"):
        return error_reply(400, "this model does not support tools")
    asked = str(body["messages"][-1]["content"])
    text = "31 [2]" if "Tarn mill?" in asked else "northern [3]" if "which pier" in asked else "No evidence found"
    if body.get("stream"):
        return stream_reply(["one, ", "two, ", "three"], tokens=(20, 30))
    return chat_reply(text, tokens=(20, 30))


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    async with ModelServer(reply) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
        yield server


@pytest.fixture
async def workspace(tmp_path: Path, server: ModelServer) -> AsyncIterator[Workspace]:
    folder = Workspace.init(tmp_path / "workspace")
    (folder / "intelforge.toml").write_text(f'{LEAN}llm = "{server.url}/v1#own"\nmodel_facts = "facts.json"\n')
    (folder / "facts.json").write_text(json.dumps({f"{server.url}/v1#own": {"context_window": 8192}}))
    async with Workspace.open(folder) as opened:
        yield opened


async def test_a_probe_is_kept_and_counts_from_then_on(workspace: Workspace, server: ModelServer) -> None:
    moments: list[Progress] = []
    profile = await workspace.models.probe(f"{server.url}/v1#own", context=1024, report=moments.append)
    able = {trial.skill: trial.able for trial in profile.trials}
    assert able == {
        Skill.SCHEMA: False,
        Skill.TOOL_CALL: False,
        Skill.TOOL_RESULT: False,
        Skill.CITES: True,
        Skill.REFUSES: True,
        Skill.CONTEXT: False,
    }
    assert profile.model == f"compatible:{server.url.removeprefix('http://')}/own"
    assert profile.calls == len([one for one in server.requests if one.path.endswith("/chat/completions")])
    assert {moment.stage for moment in moments} == {Stage.MEASURING}
    (card,) = await workspace.models.cards()
    assert card.profile == profile
    assert card.tools is False
    assert card.context_window == 8192
    async with Workspace.open(workspace.path) as again:
        (kept,) = await again.models.cards(f"{server.url}/v1#own")
        assert kept.profile == profile
        before = replace(profile, model="compatible:own")  # as profiles were named before servers were told apart
        await again._parts.lending.catalogue.keep(before)
        assert [card.name for card in await again.models.cards()] == [profile.model, before.model]


async def test_the_file_of_the_settings_is_told_when_it_is_wrong(workspace: Workspace) -> None:
    (workspace.path / "facts.json").write_text("{")
    async with Workspace.open(workspace.path) as opened:
        with pytest.raises(ConfigError, match=r"facts\.json is not JSON"):
            await opened.models.cards("openai:gpt-5")


async def test_a_benchmark_times_models_and_tells_of_those_that_fail(
    workspace: Workspace, server: ModelServer, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("What is a mutex?\n")
    urls = [f"{server.url}/v1#own", "http://127.0.0.1:9/v1#dead"]
    report = await workspace.models.bench(urls, prompts=prompts, repeat=2, accounting=Accounting(user="ann"))
    assert {(row["user"], row["purpose"]) for row in await workspace._parts.calls.all()} == {("ann", "bench")}
    own, dead = report.models
    assert (own.calls, own.failed) == (4, 0)
    assert own.total_p50 is not None
    assert own.first_token_p50 is not None
    assert own.first_token_p50 <= own.total_p50
    assert own.memory_gb is not None
    assert own.memory_of.startswith("the process")
    assert (dead.calls, dead.failed) == (1, 1)
    assert dead.error
    with pytest.raises(InvalidInputError):
        await workspace.models.bench(urls, repeat=0)


async def test_auto_is_the_model_of_the_ollama_that_runs(workspace: Workspace) -> None:
    profile = await workspace.models.probe("auto", context=0)
    assert profile.model == "ollama:tiny:latest"


@pytest.mark.parametrize("url", ["none:", "ollama:a, ollama:b", "nonsense"])
async def test_a_probe_wants_one_model(workspace: Workspace, url: str) -> None:
    with pytest.raises(InvalidInputError, match="does not name one model"):
        await workspace.models.probe(url)


async def test_a_model_that_is_not_there_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(ModelError) as raised:
        await workspace.models.probe("http://127.0.0.1:9/v1#dead", context=0)
    assert raised.value.error_code is ErrorCode.UNREACHABLE


async def test_without_an_ollama_auto_names_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    with pytest.raises(NotFoundError, match="no Ollama"):
        await workspace.models.probe("auto")


async def test_replies_are_kept_until_they_are_forgotten(workspace: Workspace, server: ModelServer) -> None:
    model = await workspace._parts.model()
    assert model is not None
    asked = [await model.complete("Say it.", instructions="Be brief.", purpose="chat") for _ in range(3)]
    assert [one.cached for one in asked] == [False, True, True]
    assert [one.cost_usd for one in asked[1:]] == [0.0, 0.0]
    assert len(server.requests) == 1
    assert await workspace.models.clear_cache(dry_run=True) == 1
    assert await workspace.models.clear_cache() == 1
    assert not (await model.complete("Say it.", instructions="Be brief.", purpose="chat")).cached


async def test_a_long_conversation_is_summarised_by_the_model_itself(tmp_path: Path, server: ModelServer) -> None:
    folder = Workspace.init(tmp_path / "workspace")
    settings = f'{LEAN}llm = "{server.url}/v1#own"\nmodel_facts = "facts.json"\nllm_overflow = "summarise"\n'
    (folder / "intelforge.toml").write_text(settings)
    own = f"compatible:{server.url.removeprefix('http://')}/own"
    (folder / "facts.json").write_text(json.dumps({own: {"context_window": 4096}}))
    turns = tuple(Message.of(Role.USER, f"{number} " + "word " * 400) for number in range(12))
    async with Workspace.open(folder) as workspace:
        model = await workspace._parts.model()
        assert model is not None
        reply = await model.respond(ChatRequest(messages=turns, max_tokens=500))
    assert any("messages (about" in note for note in reply.notes)
    assert "a summary stands in their place" in reply.notes
    asked = server.requests[-1].json["messages"]
    assert "No evidence found" in str(asked[0]["content"])
    assert len(asked) < len(turns)


async def test_a_conversation_that_may_not_leave_is_not_summarised(tmp_path: Path, server: ModelServer) -> None:
    folder = Workspace.init(tmp_path / "workspace")
    settings = f'{LEAN}llm = "{server.url}/v1#own"\nmodel_facts = "facts.json"\nllm_overflow = "summarise"\n'
    (folder / "intelforge.toml").write_text(settings)
    (folder / "facts.json").write_text(json.dumps({f"{server.url}/v1#own": {"context_window": 4096}}))
    turns = tuple(Message.of(Role.USER, f"{number} " + "word " * 400) for number in range(12))
    async with Workspace.open(folder) as workspace:
        model = await workspace._parts.model()
        assert model is not None
        reply = await model.respond(ChatRequest(messages=turns, max_tokens=500, local_only=True))
    assert any("messages (about" in note for note in reply.notes)
    assert not any("summary" in note for note in reply.notes)
    assert len(server.requests) == 1


async def test_similar_questions_need_an_embedder(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_text("one question\nanother question\n")
    with pytest.raises(ModelError, match="no embedder"):
        await workspace.models.check_similarity(file)


async def test_what_was_measured_of_questions_is_kept(tmp_path: Path, server: ModelServer) -> None:
    folder = Workspace.init(tmp_path / "workspace")
    file = tmp_path / "questions.txt"
    file.write_text("how to sort a list\nwhere is the harbour\n")
    async with EmbeddingServer() as embeddings:
        settings = f'{LEAN.replace("none:", f"{embeddings.url}/v1#one")}llm = "none:"\ncache_similarity = 0.9\n'
        (folder / "intelforge.toml").write_text(settings)
        async with Workspace.open(folder) as workspace:
            found = await workspace.models.check_similarity(file)
            kept = await workspace._parts.facts.get(CHECK_FACT)
    assert (found.questions, found.threshold) == (2, 0.9)
    assert next(row for row in found.rows if row.threshold == 0.9).false_hit_rate in (0.0, 1.0)
    assert read_check(kept) == found


async def test_a_recommendation_marks_what_ollama_has(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await recommend_model(Preference.QUALITY, memory_gb=8)
    assert found.machine.usable_gb == 8
    assert found.notes == ()
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    assert "no Ollama runs here" in (await recommend_model(Preference.SPEED, memory_gb=8)).notes[0]
    with pytest.raises(InvalidInputError):
        await recommend_model(Preference.SPEED, memory_gb=0)
    with pytest.raises(InvalidInputError, match="more than nothing"):
        await recommend_model(Preference.SPEED, memory_gb=float("nan"))

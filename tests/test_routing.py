import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from intelforge.core.chat import ChatRequest, Message, Role
from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.core.values import Verdict
from intelforge.models.router.database import DatabaseRouterLog
from intelforge.models.router.policy import Exploration
from intelforge.models.router.protocol import Outcome
from intelforge.models.router.router import Options
from intelforge.models.router.service import RouterService
from intelforge.models.router.values import Judgement
from intelforge.parts import Parts
from intelforge.testing.router_world import BOTH, GOOD, text
from intelforge.workspace import Workspace


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    async with Workspace.open(Workspace.init(tmp_path)) as opened:
        yield opened


async def used(workspace: Workspace, *, calls: int = 60) -> None:
    parts: Parts = workspace._parts
    options = Options(exploration=Exploration(share=0.3, cost_share=1.0), seed=3)
    service = await RouterService.open(BOTH, DatabaseRouterLog(parts.database), options=options)
    draw = random.Random(4)
    for _ in range(calls):
        kind = draw.choice(("sum", "talk"))
        ticket = await service.route(text(kind, draw))
        quality = float(draw.random() < GOOD[kind, ticket.decision.model])
        await service.settle(ticket, Outcome(quality=quality, source=Judgement.EVALUATION, cost=0.001, latency=1.0))
    await service.close()


async def test_before_it_was_used_there_is_nothing_to_look_at(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match="has not been used"):
        await workspace.routing.status()


async def test_it_can_be_frozen_and_carried_to_another_workspace(workspace: Workspace, tmp_path: Path) -> None:
    await used(workspace)
    before = await workspace.routing.status()
    assert 50 < before.requests <= 60  # some were asked twice
    assert not before.frozen
    assert {one.model for one in before.models} == {"small", "large"}
    assert sum(one.judged for one in before.models) == 60
    assert (await workspace.routing.freeze()).frozen
    assert (await workspace.routing.status()).frozen
    file = tmp_path / "router.npz"
    await workspace.routing.export(file)
    (tmp_path / "other").mkdir()
    async with Workspace.open(Workspace.init(tmp_path / "other")) as other:
        assert (await other.routing.load(file, dry_run=True)).requests == 0
        with pytest.raises(NotFoundError, match="has not been used"):
            await other.routing.status()
        loaded = await other.routing.load(file)
        assert loaded.frozen
        assert loaded.models == before.models
        assert (await other.routing.unfreeze()).models == before.models


async def test_its_own_calls_are_replayed(workspace: Workspace) -> None:
    await used(workspace)
    found = await workspace.routing.replay()
    assert found.calls == 60
    assert [one.policy for one in found.policies] == [
        "quality", "balanced", "cheap", "fast", "always small", "always large",
    ]  # fmt: skip


async def test_a_log_of_lines_is_replayed(workspace: Workspace, tmp_path: Path) -> None:
    await used(workspace)
    draw, file = random.Random(1), tmp_path / "calls.jsonl"
    lines = [
        {"text": text("sum", draw), "model": model, "propensity": 0.5, "quality": GOOD["sum", model]}
        for model in ("small", "large") * 15
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = await workspace.routing.replay(file, preferences=("quality",))
    assert found.calls == 30
    values = {one.policy: one.normalised.value for one in found.policies}
    assert values["always large"] == pytest.approx(0.9)
    assert values["always small"] == pytest.approx(0.1)
    file.write_text('{"text": "a", "model": "small"}\nno json\n', encoding="utf-8")
    with pytest.raises(InvalidInputError, match="line 2 of"):
        await workspace.routing.replay(file)
    with pytest.raises(NotFoundError):
        await workspace.routing.replay(tmp_path / "missing.jsonl")
    with pytest.raises(InvalidInputError, match="no preference"):
        await workspace.routing.replay(file, preferences=("best",))
    for dry_run in (True, False):
        with pytest.raises(InvalidInputError, match="not the state of a router"):
            await workspace.routing.load(file, dry_run=dry_run)


async def test_a_log_is_replayed_before_the_router_is_first_used(tmp_path: Path) -> None:
    line = {"text": "a\u2028b", "model": "mock:a", "quality": 1}
    (tmp_path / "calls.jsonl").write_text("\ufeff" + f"{json.dumps(line, ensure_ascii=False)}\r\n" * 30, "utf-8")
    Workspace.init(tmp_path)
    async with Workspace.open(tmp_path) as workspace:
        with pytest.raises(NotFoundError, match="has not been used"):
            await workspace.routing.replay(tmp_path / "calls.jsonl")
    async with made(tmp_path, 'llm = "router:mock:a, mock:b"\n') as workspace:
        found = await workspace.routing.replay(tmp_path / "calls.jsonl", preferences=("cheap",))
        assert [(one.policy, one.agreed) for one in found.policies[1:]] == [("always mock:a", 30), ("always mock:b", 0)]
        for wrong in ("[" * 100_000, "1" * 5000):
            (tmp_path / "wrong.jsonl").write_text(wrong)
            with pytest.raises(InvalidInputError, match=r"line 1 of .* is no JSON object"):
                await workspace.routing.replay(tmp_path / "wrong.jsonl")


SAID = "The ferry to Tarn leaves at nine in the morning [1]."
ROUTED = f'llm = "router:mock:{quote(SAID)}, mock:Nothing%20%5B9%5D."\n'
LEAN = 'jobs = "memory:"\nembedder = "none:"\ncache = "none:"\nworkers = 1\nrouter_explore = 0\n'


def made(folder: Path, settings: str = ROUTED) -> Workspace:
    (folder / "intelforge.toml").write_text(LEAN + settings, encoding="utf-8")
    return Workspace.open(folder)


async def judged(workspace: Workspace) -> dict[str, int]:
    return {one.model: one.judged for one in (await workspace.routing.status()).models if one.judged}


async def test_what_citations_say_of_an_answer_is_learned(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "ferry.md").write_text("# Ferries\n\nThe ferry to Tarn leaves at nine in the morning.\n")
    async with made(tmp_path) as workspace:
        await workspace.add(tmp_path / "notes")
        await workspace.sync()
        found = await workspace.ask("When does the ferry to Tarn leave in the morning?")
        assert [each.verdict for each in found.sentences] == [Verdict.SUPPORTED]
        assert await judged(workspace) == {f"mock:{quote(SAID)}": 1}
        (call,) = await DatabaseRouterLog(workspace._parts.database).all()
        assert (call.id, call.quality, call.source) == (found.call, 1.0, Judgement.VERIFIED)
        await workspace.routing.rate(found.call, 0.25)
        assert await judged(workspace) == {f"mock:{quote(SAID)}": 2}
        before = {one.model: one.quality for one in (await workspace.routing.status()).models}
        await workspace.ask("When does the ferry to Tarn leave in the morning?")  # asked again
        assert await judged(workspace) == {f"mock:{quote(SAID)}": 3}
        after = {one.model: one.quality for one in (await workspace.routing.status()).models}
        assert after[f"mock:{quote(SAID)}"] < before[f"mock:{quote(SAID)}"]


@pytest.mark.parametrize("evaluation", [False, True])
async def test_a_reply_is_rated_where_the_models_are_named_in_the_url(tmp_path: Path, evaluation: bool) -> None:
    async with made(tmp_path) as workspace:
        request = ChatRequest(messages=(Message.of(Role.USER, "Who are you?"),))
        decision = (await workspace.chatting.chat(request, model="auto")).decision
        assert decision
    async with made(tmp_path) as again:  # as a command does
        status = await again.routing.rate(decision["call"], 0.5, evaluation=evaluation)
        assert {one.model: one.judged for one in status.models if one.judged} == {decision["model"]: 1}
        assert sum(one.candidate for one in status.models) == 2
        (call,) = await DatabaseRouterLog(again._parts.database).all()
        assert (call.quality, call.source) == (0.5, Judgement.EVALUATION if evaluation else Judgement.RATING)
        with pytest.raises(NotFoundError, match="no call nothing"):
            await again.routing.rate("nothing", 0.5)


async def test_a_router_that_programs_ask_by_its_url_has_its_own_models(tmp_path: Path) -> None:
    first, second = "router:mock:a, mock:b", "router:mock:c, mock:d"
    settings = f'llm = "{first}"\nllm_models = ["{second}", "mock:e"]\n'
    async with made(tmp_path, settings) as workspace:
        request = ChatRequest(messages=(Message.of(Role.USER, "Who are you?"),))
        replies = [(await workspace.chatting.chat(request, model=name)).text for name in ("auto", second, "auto")]
        assert [reply in "ab" for reply in replies] == [True, False, True]
        assert replies[1] in "cd"
        cards = await workspace.models.cards()
        assert [card.name for card in cards] == ["mock:a", "mock:b", "mock:c", "mock:d", "mock:e"]


async def test_a_router_over_the_model_that_ollama_may_have_can_be_looked_at(tmp_path: Path) -> None:
    async with made(tmp_path, 'llm = "router:auto, mock:a"\n') as workspace:
        request = ChatRequest(messages=(Message.of(Role.USER, "Who are you?"),), local_only=True)
        await workspace.chatting.chat(request, model="auto")
        (one,) = [one for one in (await workspace.routing.status()).models if one.model == "mock:a"]
        assert one.candidate


async def test_what_a_probe_measured_is_where_the_router_begins(tmp_path: Path) -> None:
    async with made(tmp_path, 'llm = "router:mock:a, mock:b"\n') as workspace:
        await workspace.models.probe("mock:a", context=0)
        request = ChatRequest(messages=(Message.of(Role.USER, "Who are you?"),))
        assert (await workspace.chatting.chat(request, model="auto")).text == "b"
        priors = {one.model: one.prior for one in (await workspace.routing.status()).models}
        assert priors["mock:a"] < priors["mock:b"] == 0.5

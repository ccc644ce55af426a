import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.models.router.database import DatabaseRouterLog
from intelforge.models.router.policy import Exploration
from intelforge.models.router.router import Options
from intelforge.models.router.service import Outcome, RouterService
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
    await service.save()


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
    with pytest.raises(InvalidInputError, match="not the state of a router"):
        await workspace.routing.load(file)

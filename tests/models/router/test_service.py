import random
from datetime import UTC, datetime

import numpy as np
import pytest

from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.models.router.memory import MemoryRouterLog
from intelforge.models.router.policy import NONE
from intelforge.models.router.router import Options
from intelforge.models.router.service import Outcome, RouterService
from intelforge.models.router.values import Constraints, Judgement, Preference, Vector
from intelforge.testing.router_world import BOTH, GOOD, text

AT = datetime(2026, 5, 4, tzinfo=UTC)
STEADY = Options(preference=Preference.parse("quality"), exploration=NONE)


async def embed(words: str) -> Vector:
    return np.asarray([len(words), words.count("+"), 1.0], np.float32)


async def at_work(service: RouterService, draw: random.Random, *, calls: int) -> None:
    for _ in range(calls):
        kind = draw.choice(("sum", "talk"))
        ticket = await service.route(text(kind, draw))
        await service.settle(ticket, Outcome(cost=0.001, latency=1.0, output_tokens=50))
        good = float(draw.random() < GOOD[kind, ticket.decision.model])
        await service.judge(ticket.call, good, Judgement.VERIFIED)


async def test_it_learns_from_judgements_and_the_next_process_knows() -> None:
    log, draw = MemoryRouterLog(), random.Random(2)
    service = await RouterService.open(BOTH, log, options=STEADY, embed=embed)
    await at_work(service, draw, calls=60)
    calls = await log.all()
    assert len(calls) == 60
    assert all(one.quality is not None and one.source is Judgement.VERIFIED for one in calls)
    assert all(one.request.embedding is not None for one in calls)
    await service.save()
    other = await RouterService.open(BOTH, log, options=STEADY, embed=embed)
    assert other.router.trackers == service.router.trackers
    assert len(other.router.experience) == len(service.router.experience) > 30


async def test_a_judgement_later_on_counts_the_call_once() -> None:
    service = await RouterService.open(BOTH, MemoryRouterLog(), options=STEADY)
    ticket = await service.route("What is 2 + 2?")
    await service.settle(ticket, Outcome(latency=1.0))
    await service.judge(ticket.call, 1.0, Judgement.RATING)
    tracker = service.router.trackers[ticket.decision.model]
    assert (tracker.calls, tracker.judged) == (1, 1)


async def test_when_another_model_replied_the_log_stays_true() -> None:
    log = MemoryRouterLog()
    service = await RouterService.open(BOTH, log, options=STEADY)
    ticket = await service.route("What is 2 + 2?")
    assert ticket.decision.model == "large"
    await service.settle(ticket, Outcome(quality=1.0, source=Judgement.EVALUATION, latency=1.0), model="small")
    assert await log.all() == []
    assert service.router.trackers["small"].judged == 1


async def test_constraints_reach_the_router() -> None:
    service = await RouterService.open(BOTH, MemoryRouterLog(), options=STEADY)
    ticket = await service.route("What is 2 + 2?", constraints=Constraints(local_only=True))
    assert ticket.decision.model == "small"


async def test_wrong_judgements_are_refused() -> None:
    service = await RouterService.open(BOTH, MemoryRouterLog(), options=STEADY)
    with pytest.raises(NotFoundError):
        await service.judge("nothing", 1.0, Judgement.RATING)
    with pytest.raises(InvalidInputError, match="somebody who judges"):
        await service.judge("nothing", 1.0, Judgement.NONE)

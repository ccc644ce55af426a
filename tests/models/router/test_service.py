import asyncio
import random
import threading
from datetime import UTC, datetime

import numpy as np
import pytest

from intelforge.core.errors import InvalidInputError, NotFoundError, StorageError
from intelforge.models.router import service as service_module
from intelforge.models.router import state as state_module
from intelforge.models.router.memory import MemoryRouterLog
from intelforge.models.router.policy import NONE
from intelforge.models.router.protocol import Outcome
from intelforge.models.router.router import Options, Router
from intelforge.models.router.service import RouterService
from intelforge.models.router.state import exported, restore
from intelforge.models.router.values import Candidate, Constraints, Judgement, Preference, Vector
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
    other = await RouterService.open(BOTH, log, options=STEADY, embed=embed)
    assert {name: one.judged for name, one in other.router.trackers.items()} == {
        name: one.judged for name, one in service.router.trackers.items()
    }
    await service.caught_up()
    await other.caught_up()
    assert len(other.router.experience) == len(service.router.experience) > 30


async def test_a_judgement_later_on_counts_the_call_once() -> None:
    service = await RouterService.open(BOTH, MemoryRouterLog(), options=STEADY)
    ticket = await service.route("What is 2 + 2?")
    await service.settle(ticket, Outcome(latency=1.0))
    await service.judge(ticket.call, 1.0, Judgement.RATING)
    tracker = service.router.trackers[ticket.decision.model]
    assert (tracker.calls, tracker.judged) == (1, 1)


async def test_when_another_model_replied_it_is_judged_and_the_log_stays_true() -> None:
    log = MemoryRouterLog()
    service = await RouterService.open(BOTH, log, options=STEADY)
    ticket = await service.route("What is 2 + 2?")
    assert ticket.decision.model == "large"
    await service.settle(ticket, Outcome(model="small", latency=1.0))
    await service.judge(ticket.call, 1.0, Judgement.RATING)
    (call,) = await log.all()
    assert (call.model, call.quality, call.latency, call.replied) == ("large", None, None, "small")
    trackers = service.router.trackers
    assert (trackers["small"].judged, trackers["large"].judged) == (1, 0)


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


async def test_decisions_go_on_while_another_state_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    log, draw = MemoryRouterLog(), random.Random(5)
    taught = await RouterService.open(BOTH, MemoryRouterLog(), options=STEADY)
    await at_work(taught, draw, calls=30)
    await taught.caught_up()
    state = exported(taught.router)
    service = await RouterService.open(BOTH, log, options=STEADY)
    before, began, may = service.router, threading.Event(), threading.Event()

    def slow(router: Router, found: bytes) -> None:
        began.set()
        assert may.wait(30)
        restore(router, found)

    await log.replace(state)
    monkeypatch.setattr(service_module, "restore", slow)
    following = asyncio.create_task(service.follow())
    assert await asyncio.to_thread(began.wait, 30)
    service.add_candidates([Candidate(name="third")])
    ticket = await service.route("What is 2 + 2?")
    assert service.router is before
    assert not following.done()
    may.set()
    await following
    assert service.router is not before
    assert len(service.router.experience) == len(taught.router.experience)
    assert {one.name for one in service.router.candidates} == {"small", "large", "third"}
    await service.settle(ticket, Outcome(latency=1.0))
    expected = taught.router.spending.total + ticket.decision.predictions[0].cost
    assert service.router.spending.total == pytest.approx(expected)  # what was decided meanwhile is counted


async def test_whoever_is_far_behind_takes_over_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "SAVED_EVERY", 10)
    log, draw = MemoryRouterLog(events_kept=5), random.Random(6)
    behind = await RouterService.open(BOTH, log, options=STEADY)
    ahead = await RouterService.open(BOTH, log, options=STEADY)
    await at_work(ahead, draw, calls=30)
    assert await log.since(0) is None
    await behind.follow()
    for service in (behind, ahead):
        assert sum(one.judged for one in service.router.trackers.values()) == 30
    assert behind.router.spending.total == pytest.approx(ahead.router.spending.total)


async def test_a_state_of_another_version_is_learned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    log, draw = MemoryRouterLog(), random.Random(7)
    service = await RouterService.open(BOTH, log, options=STEADY)
    await at_work(service, draw, calls=5)
    await service.close()
    monkeypatch.setattr(state_module, "VERSION", 99)
    again = await RouterService.open(BOTH, log, options=STEADY)
    assert len(again.router.experience) == 0
    await at_work(again, draw, calls=2)
    assert sum(one.judged for one in again.router.trackers.values()) == 2


@pytest.mark.parametrize("candidates", [BOTH, ()])
async def test_a_damaged_state_is_learned_anew(candidates: tuple[Candidate, ...]) -> None:
    log, draw = MemoryRouterLog(), random.Random(7)
    service = await RouterService.open(BOTH, log, options=STEADY)
    await at_work(service, draw, calls=5)
    state = exported(service.router)
    await log.save(state[:-20], 10)
    again = await RouterService.open(candidates, log, options=STEADY)
    assert (len(again.router.experience), again.router.candidates) == (0, candidates)
    again.add_candidates(BOTH)
    await at_work(again, draw, calls=2)
    await again.close()
    assert len((await RouterService.open(BOTH, log, options=STEADY)).router.experience) == 2


async def test_events_that_do_not_follow_the_state_are_told() -> None:
    log, draw = MemoryRouterLog(), random.Random(8)
    service = await RouterService.open(BOTH, log, options=STEADY)
    await at_work(service, draw, calls=3)
    del log._events[0]
    with pytest.raises(StorageError, match="not complete"):
        await RouterService.open(BOTH, log, options=STEADY)


async def test_a_state_that_was_being_written_when_another_was_imported_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, draw = MemoryRouterLog(), random.Random(9)
    taught = await RouterService.open(BOTH, MemoryRouterLog(), options=STEADY)
    await at_work(taught, draw, calls=30)
    state = exported(taught.router)
    late, other = [await RouterService.open(BOTH, log, options=STEADY) for _ in range(2)]
    began, may = threading.Event(), threading.Event()

    def slow(router: Router) -> bytes:
        began.set()
        assert may.wait(30)
        return exported(router)

    monkeypatch.setattr(service_module, "exported", slow)
    monkeypatch.setattr(service_module, "SAVED_EVERY", 1)
    ticket = await late.route("What is 2 + 2?")
    saving = asyncio.create_task(late.settle(ticket, Outcome(latency=1.0)))
    assert await asyncio.to_thread(began.wait, 30)
    await log.replace(state)
    may.set()
    await saving
    kept = await log.load()
    assert kept is not None
    assert kept.state == state
    for service in (late, other):
        await service.follow()
        assert sum(one.judged for one in service.router.trackers.values()) == 30

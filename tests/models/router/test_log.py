import json
import math
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.models.router.database import DatabaseRouterLog
from intelforge.models.router.log import Routed
from intelforge.models.router.memory import MemoryRouterLog
from intelforge.models.router.policy import NOTHING, Spending
from intelforge.models.router.protocol import Kind, Outcome, RouterLog, Settled, Snapshot
from intelforge.models.router.values import Judgement
from intelforge.store.database import open_database
from intelforge.store.router_log import PRUNED_EVERY
from intelforge.store.tables import RouterCallRow
from intelforge.testing.router_world import request

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
KEPT = 5
EVENTS = 4


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RouterLog]:
    if request.param == "memory":
        yield MemoryRouterLog(kept=KEPT, events_kept=EVENTS)
        return
    postgres = request.param == "postgresql"
    url = request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path / 'test.db'}"
    database = await open_database(url, root=tmp_path)
    yield DatabaseRouterLog(database, kept=KEPT, events_kept=EVENTS)
    await database.close()


def routed(number: int, *, vectors: bool = True, quality: float | None = None) -> Routed:
    return Routed(
        id=f"call{number}",
        at=AT + timedelta(seconds=number),
        request=request("sum", random.Random(number), vectors=vectors),
        model="small",
        propensity=0.97,
        quality=quality,
        source=Judgement.NONE if quality is None else Judgement.RATING,
        cost=0.000123456,
        latency=1.5,
        output_tokens=42,
    )


SPENT = Spending(total=0.5, exploring=0.25, quality=0.75, given_up=0.125)


def same(one: Routed, other: Routed) -> bool:
    """Arrays cannot be compared by `==`; what is written as JSON rounds them."""
    return one.as_json() == other.as_json()


def settled(number: int, *, asked: str = "", seconds: float | None = None, **fields: Any) -> Settled:
    """One that came `seconds` after AT."""
    at = AT + timedelta(seconds=number if seconds is None else seconds)
    one = replace(routed(number), at=at, **fields)
    return Settled(routed=one, outcomes=(Outcome(model="small", latency=1.5),), asked=asked, spending=SPENT, era="here")


async def test_calls_are_given_back_oldest_first(log: RouterLog) -> None:
    calls = [routed(2), routed(1, vectors=False), routed(3, quality=0.5)]
    await log.settle([Settled(routed=one, outcomes=()) for one in calls])
    found = await log.all()
    assert [one.id for one in found] == ["call1", "call2", "call3"]
    assert all(same(one, other) for one, other in zip(found, sorted(calls, key=lambda one: one.at), strict=True))
    assert found[0].request.embedding is None


async def test_a_call_recorded_again_is_replaced(log: RouterLog) -> None:
    await log.settle([settled(1)])
    await log.settle([settled(1, quality=0.25)])
    assert [one.quality for one in await log.all()] == [0.25]


async def test_what_happened_is_numbered_in_its_order(log: RouterLog) -> None:
    assert await log.since(0) == []
    failed = Outcome(model="large", quality=0.0, source=Judgement.RETRY)
    await log.settle([replace(settled(1), outcomes=(failed, Outcome(model="small", latency=2.0, output_tokens=7)))])
    await log.mark(Kind.FREEZE)
    await log.settle([settled(2)])
    events = await log.since(0)
    assert events is not None
    assert [event.number for event in events] == [1, 2, 3, 4]
    assert [event.kind for event in events] == [Kind.OUTCOME, Kind.OUTCOME, Kind.FREEZE, Kind.OUTCOME]
    assert [event.outcome for event in events[:2]] == [failed, Outcome(model="small", latency=2.0, output_tokens=7)]
    assert [(event.spending, event.era) for event in events[:2]] == [(SPENT, "here"), (NOTHING, "")]  # once a call
    assert events[2].observation is None
    assert events[3].request is not None
    assert events[3].request.key == routed(2).request.key
    later = await log.since(3)
    assert later is not None
    assert [event.number for event in later] == [4]


async def test_a_judgement_is_added_to_its_call_and_told(log: RouterLog) -> None:
    await log.settle([settled(1)])
    await log.judge("call1", 0.75, Judgement.RATING)
    (found,) = await log.all()
    assert (found.quality, found.source, found.cost) == (0.75, Judgement.RATING, 0.000123456)
    (event,) = await log.since(1) or ()
    assert event.outcome == Outcome(model="small", quality=0.75, source=Judgement.RATING)
    with pytest.raises(NotFoundError, match="no call other"):
        await log.judge("other", 1.0, Judgement.RATING)
    with pytest.raises(InvalidInputError, match="from 0 to 1"):
        await log.judge("call1", 7.0, Judgement.RATING)
    assert (await log.all())[0].quality == 0.75
    assert await log.since(2) == []


async def test_the_model_that_replied_is_judged(log: RouterLog) -> None:
    await log.settle([settled(1, replied="large", quality=0.0, source=Judgement.RETRY)])
    await log.judge("call1", 1.0, Judgement.RATING)
    (event,) = await log.since(1) or ()
    assert event.outcome.model == "large"
    assert (await log.all())[0].quality == 0.0  # of the chosen one, which failed


async def test_a_question_asked_again_soon_is_told_once_and_weighs_less_than_a_rating(log: RouterLog) -> None:
    await log.settle([settled(1, asked="q", seconds=0)])
    await log.judge("call1", 0.9, Judgement.RATING)
    await log.settle([settled(2, asked="q", seconds=1.4), settled(3, asked="other", seconds=3)])
    assert len(await log.since(0) or ()) == 4  # the reply to the first was not there yet
    await log.settle([settled(4, asked="q", seconds=110)])
    event = (await log.since(0) or ())[-1]
    assert event.outcome == Outcome(model="small", quality=0.0, source=Judgement.RETRY)
    assert [one.quality for one in await log.all()] == [0.9, 0.0, None, None]
    await log.settle([settled(5, asked="q", seconds=400)])
    assert len(await log.since(0) or ()) == 7


async def test_the_oldest_calls_are_forgotten(log: RouterLog) -> None:
    for number in range(KEPT + 3):
        await log.settle([settled(number)])
    assert [one.id for one in await log.all()] == [f"call{number}" for number in range(3, KEPT + 3)]


async def test_a_state_takes_the_place_of_one_that_is_less_far_on_only(log: RouterLog) -> None:
    assert await log.load() is None
    await log.settle([settled(number) for number in range(3)])
    assert await log.load() == Snapshot(b"", 0)
    assert await log.save(b"two", 2)
    assert not await log.save(b"one", 1)
    assert not await log.save(b"also two", 2)
    assert await log.load() == Snapshot(b"two", 2)
    await log.replace(b"\x00imported")
    assert not await log.save(b"three", 3)
    assert await log.load() == Snapshot(b"\x00imported", 4)
    assert [event.kind for event in await log.since(3) or ()] == [Kind.IMPORT]


async def test_whoever_is_far_behind_is_told_to_take_over_the_state(log: RouterLog) -> None:
    await log.settle([settled(number) for number in range(20)])
    assert await log.save(b"state", 15)
    kept = await log.since(15 - EVENTS)
    assert kept is not None
    assert [event.number for event in kept] == list(range(15 - EVENTS + 1, 21))
    assert await log.since(0) is None


async def test_the_database_is_rid_of_old_calls_now_and_then(database_url: str, tmp_path: Path) -> None:
    database = await open_database(database_url, root=tmp_path)
    log = DatabaseRouterLog(database, kept=KEPT)

    async def rows() -> int:
        async with database.read() as connection:
            return (await connection.execute(select(func.count()).select_from(RouterCallRow))).scalar_one()

    await log.settle([settled(number) for number in range(PRUNED_EVERY - 1)])
    assert await rows() == PRUNED_EVERY - 1
    await log.settle([settled(PRUNED_EVERY)])
    assert await rows() == KEPT
    await log.settle([settled(PRUNED_EVERY + 1)])
    assert await rows() == KEPT + 1
    assert len(await log.all()) == KEPT
    await database.close()


def test_a_line_of_a_log_is_read_back() -> None:
    one = routed(4, quality=0.5)
    again = Routed.from_json(json.loads(json.dumps(one.as_json())))
    assert same(again, one)
    assert again.request.embedding == pytest.approx(np.asarray(one.request.embedding), abs=1e-4)


def test_a_line_with_text_is_read_as_the_router_reads_it() -> None:
    found = Routed.from_json({"text": "What is 1 + 1?", "model": "small", "quality": 1})
    assert (found.propensity, found.source, found.request.embedding) == (1.0, Judgement.EVALUATION, None)
    assert found.request.input_tokens > 1


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"model": "small"}, "'text' is missing"),
        ({"text": "a"}, "'model' is missing"),
        ({"text": "a", "model": "m", "propensity": 0}, "a propensity is above 0"),
        ({"text": "a", "model": "m", "quality": "good"}, "could not convert"),
        ({"text": "a", "model": "m", "source": "mother"}, "mother"),
        ({"text": "a", "model": "m", "quality": 85}, "from 0 to 1, not 85"),
        ({"text": "a", "model": "m", "quality": math.nan}, "from 0 to 1, not nan"),
        ({"text": "a", "model": "m", "cost": math.nan}, "cost is zero or more, not nan"),
        ({"text": "a", "model": "m", "cost": -1}, "cost is zero or more, not -1"),
        ({"text": "a", "model": "m", "latency": math.inf}, "latency is zero or more, not inf"),
        ({"text": "a", "model": "m", "output_tokens": math.inf}, "output_tokens is zero or more, not inf"),
        ({"text": "a", "model": "m", "output_tokens": -1}, "output_tokens is zero or more, not -1"),
        ({"text": "a", "model": None}, "model is no text"),
        ({"text": None, "model": "m"}, "text is no text"),
        ({"request": {"shape": [1], "places": [], "values": []}, "model": "m"}, "of another version"),
        ({"request": {"shape": [], "places": [], "values": [math.nan]}, "model": "m"}, "is no number"),
        ({"request": {"shape": [], "places": [], "values": [], "embedding": [math.inf]}, "model": "m"}, "is no number"),
    ],
)
def test_a_line_that_makes_no_sense_says_why(line: dict[str, object], what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        Routed.from_json(line)

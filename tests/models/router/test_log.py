import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.models.router.database import DatabaseRouterLog
from intelforge.models.router.log import Routed, RouterLog
from intelforge.models.router.memory import MemoryRouterLog
from intelforge.models.router.values import Judgement
from intelforge.store.database import open_database
from intelforge.testing.router_world import request

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
KEPT = 5


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RouterLog]:
    if request.param == "memory":
        yield MemoryRouterLog(kept=KEPT)
        return
    postgres = request.param == "postgresql"
    url = request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path / 'test.db'}"
    database = await open_database(url, root=tmp_path)
    yield DatabaseRouterLog(database, kept=KEPT)
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


def same(one: Routed, other: Routed) -> bool:
    """Arrays cannot be compared by `==`; what is written as JSON rounds them."""
    return one.as_json() == other.as_json()


async def test_calls_are_given_back_oldest_first(log: RouterLog) -> None:
    calls = [routed(2), routed(1, vectors=False), routed(3, quality=0.5)]
    for one in calls:
        await log.record(one)
    found = await log.all()
    assert [one.id for one in found] == ["call1", "call2", "call3"]
    assert all(same(one, other) for one, other in zip(found, sorted(calls, key=lambda one: one.at), strict=True))
    assert found[0].request.embedding is None


async def test_a_call_recorded_again_is_replaced(log: RouterLog) -> None:
    await log.record(routed(1))
    await log.record(routed(1, quality=0.25))
    assert [one.quality for one in await log.all()] == [0.25]


async def test_a_judgement_is_added_to_its_call(log: RouterLog) -> None:
    await log.record(routed(1))
    found = await log.judge("call1", 0.75, Judgement.RATING)
    assert (found.quality, found.source, found.cost) == (0.75, Judgement.RATING, 0.000123456)
    assert same((await log.all())[0], found)
    with pytest.raises(NotFoundError, match="no call other"):
        await log.judge("other", 1.0, Judgement.RATING)
    with pytest.raises(InvalidInputError, match="from 0 to 1"):
        await log.judge("call1", 7.0, Judgement.RATING)
    assert (await log.all())[0].quality == 0.75


async def test_the_oldest_calls_are_forgotten(log: RouterLog) -> None:
    for number in range(KEPT + 3):
        await log.record(routed(number))
    assert [one.id for one in await log.all()] == [f"call{number}" for number in range(3, KEPT + 3)]


async def test_the_state_kept_last_is_given(log: RouterLog) -> None:
    assert await log.load("default") is None
    await log.save("default", b"one")
    await log.save("other", b"two")
    await log.save("default", b"\x00three")
    assert await log.load("default") == b"\x00three"


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
        ({"request": {"shape": [1], "places": [], "values": []}, "model": "m"}, "of another version"),
    ],
)
def test_a_line_that_makes_no_sense_says_why(line: dict[str, object], what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        Routed.from_json(line)

import random

import numpy as np
import pytest

from intelforge.models.router.policy import NONE
from intelforge.models.router.reading import read_request
from intelforge.models.router.router import Options, Router
from intelforge.models.router.state import exported, restore
from intelforge.models.router.values import Observation, RequestFeatures, Vector
from intelforge.testing.router_world import BOTH


def asked(vector: Vector, draw: random.Random) -> RequestFeatures:
    return read_request(f"{draw.random():.9f}", embedding=vector)


def seen(vector: Vector, quality: float, draw: random.Random) -> Observation:
    return Observation(features=asked(vector, draw), model="small", quality=quality)


def test_vectors_of_the_embedder_used_last_are_compared() -> None:
    draw = random.Random(5)
    good, bad = np.eye(2, dtype=np.float32)
    router = Router(BOTH, Options(exploration=NONE))
    router.study(seen(np.ones(8, np.float32), 0.5, draw) for _ in range(40))
    router.study(seen(*one, draw) for _ in range(40) for one in ((good, 1.0), (bad, 0.0)))
    router.learn()
    again = Router(BOTH)
    restore(again, exported(router))
    for one in (router, again):
        [well, badly] = [one.predict(asked(vector, draw))[0].quality for vector in (good, bad)]
        assert well > badly + 0.5


@pytest.mark.parametrize("wrong", [[np.inf, 1.0], [np.nan, 1.0], [0.0, 0.0]])
def test_a_vector_that_is_none_is_left_out(wrong: list[float]) -> None:
    assert read_request("hi", embedding=np.asarray(wrong, np.float32)).embedding is None


def test_a_long_vector_is_of_unit_length() -> None:
    assert read_request("hi", embedding=np.full(4, 3e38, np.float32)).embedding == pytest.approx([0.5] * 4)

import random

import pytest

from intelforge.models.router.experience import Experience
from intelforge.testing.router_world import request

NAMES = ("small", "large")


def test_what_is_older_counts_less_and_what_is_oldest_is_forgotten() -> None:
    experience, draw = Experience(limit=3, half_life=1.0), random.Random(0)
    for _ in range(5):
        experience.add(request("sum", draw), "small", 1.0, trust=1.0, epoch=0)
    judged = experience.judged(NAMES, (0.5, 0.5), {})
    assert judged.trust.tolist() == [[0.25, 0.0], [0.5, 0.0], [1.0, 0.0]]
    assert len(experience) == 3


def test_judgements_of_one_model_on_one_request_become_their_mean() -> None:
    experience, one = Experience(limit=10, half_life=100.0), request("sum", random.Random(0))
    experience.add(one, "small", 1.0, trust=1.0, epoch=0)
    experience.add(one, "small", 0.0, trust=0.5, epoch=0)
    experience.add(one, "large", 0.5, trust=1.0, epoch=0)
    judged = experience.judged(NAMES, (0.5, 0.5), {})
    assert judged.qualities[0] == pytest.approx([2 / 3, 0.5])
    assert judged.trust[0] == pytest.approx([1.5, 1.0])
    assert experience.number == 1


def test_qualities_are_moved_back_to_what_a_model_was_first() -> None:
    experience, draw = Experience(limit=10, half_life=100.0), random.Random(0)
    experience.add(request("sum", draw), "small", 0.8, trust=1.0, epoch=0)
    experience.add(request("sum", draw), "small", 0.3, trust=1.0, epoch=1)
    judged = experience.judged(("small",), (0.5,), {"small": [0.0, -0.5]})
    assert judged.qualities[:, 0] == pytest.approx([0.8, 0.8])


def test_requests_without_any_of_the_models_are_left_out() -> None:
    experience, draw = Experience(limit=10, half_life=100.0), random.Random(0)
    experience.add(request("sum", draw), "other", 0.8, trust=1.0, epoch=0)
    assert experience.judged(NAMES, (0.5, 0.5), {}).requests == []

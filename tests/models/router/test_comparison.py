import numpy as np
import pytest

from intelforge.models.router.comparison import combined, compared


def test_a_request_tells_models_apart_as_far_as_their_qualities_lie_apart() -> None:
    qualities = np.asarray([[1.0, 0.0, 0.5], [1.0, 1.0, 1.0], [0.2, 0.9, 0.0], [0.3, 0.0, 0.0]], np.float32)
    trust = np.asarray([[1, 1, 1], [1, 1, 1], [0.5, 1, 0], [1, 0, 0]], np.float32)
    found = compared(qualities, trust)
    assert found.spread[:, 0] == pytest.approx([1.0, 0.0, 0.7, 0.0])
    assert found.trust[:, 0] == pytest.approx([1.0, 1.0, 0.75, 0.0])
    assert found.share == pytest.approx([2.5 / 3.5, 1.0, 1.0])


def test_without_comparisons_each_model_speaks_for_itself() -> None:
    chances = np.asarray([0.3, 0.8, 0.9, 0.1, 0.9], np.float32)
    assert combined(chances, np.zeros(2, np.float32)) == pytest.approx([0.3, 0.8])


def test_who_is_better_comes_from_the_comparisons_and_how_good_all_are_from_each_alone() -> None:
    chances = np.asarray([0.5, 0.7, 0.4, 0.75, 0.25], np.float32)
    found = combined(chances, np.ones(2, np.float32))
    assert found == pytest.approx([0.6 + 0.4 * 0.25, 0.6 - 0.4 * 0.25])


def test_a_model_that_was_never_compared_keeps_its_own() -> None:
    chances = np.asarray([0.5, 0.7, 0.9, 0.4, 0.75, 0.25, 0.0], np.float32)
    found = combined(chances, np.asarray([1.0, 1.0, 0.0], np.float32))
    assert found == pytest.approx([0.7, 0.5, 0.9])

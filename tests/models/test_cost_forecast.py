"""The forecast of a month's costs."""

import numpy as np
import pytest

from intelforge.models import cost_forecast
from intelforge.models.cost_forecast import outlook

MONDAY = 0
WEEK = [10.0, 10.0, 10.0, 10.0, 10.0, 0.0, 0.0]


def test_fewer_than_three_days_say_nothing() -> None:
    assert outlook([5.0, 5.0], weekday=MONDAY, elapsed=0.0, left=10) is None


def test_few_days_give_one_mean_for_all() -> None:
    found = outlook([1.0, 2.0, 3.0], weekday=MONDAY, elapsed=0.25, left=2)
    assert found is not None
    assert found.expected == pytest.approx((1.5, 2.0, 2.0))
    assert found.low < sum(found.expected) < found.high
    assert found.method.startswith("the mean of all days over the last 3 whole days")


def test_weekdays_have_their_own_means_after_two_weeks() -> None:
    found = outlook(WEEK * 8, weekday=MONDAY, elapsed=0.5, left=6)
    assert found is not None
    workday, weekend = (8 * 10 + 2 * 50 / 7) / 10, (2 * 50 / 7) / 10
    assert found.expected == pytest.approx((workday / 2, *[workday] * 4, *[weekend] * 2))
    assert found.days == 56


def test_what_is_older_than_eight_weeks_is_forgotten() -> None:
    found = outlook([1000.0] * 70 + [1.0] * 56, weekday=MONDAY, elapsed=0.0, left=3)
    assert found is not None
    assert found.expected == pytest.approx((1.0,) * 4)
    assert (found.low, found.high) == pytest.approx((4.0, 4.0))


def test_nothing_spent_is_nothing_to_come() -> None:
    found = outlook([0.0] * 20, weekday=3, elapsed=0.3, left=9)
    assert found is not None
    assert (sum(found.expected), found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("days", [10, 28, 56])
def test_four_of_five_months_end_within_the_interval(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On costs that are skewed and have a week: a share near 80 % of 300 futures lies between `low` and `high`."""
    monkeypatch.setattr(cost_forecast, "DRAWS", 300)
    random = np.random.default_rng(7)
    level = np.array([1.0, 1.1, 1.2, 1.0, 0.9, 0.3, 0.2]) if days >= 14 else np.ones(7)
    within = 0
    for seed in range(300):
        costs = level[np.arange(days + 15) % 7] * random.gamma(4.0, 0.25, days + 15)
        found = outlook(list(costs[:days]), weekday=days % 7, elapsed=0.0, left=14, seed=seed)
        assert found is not None
        within += found.low <= costs[days:].sum() <= found.high
    assert 0.7 <= within / 300 <= 0.9

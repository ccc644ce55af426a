import random

import pytest

from intelforge.models.router.tracker import Alarm, Change, Tracker


def tracker() -> Tracker:
    return Tracker(model="m", expected_latency=2.0)


def judged(one: Tracker, draw: random.Random, *, good: float, expected: float, times: int) -> tuple[int, Alarm | None]:
    """Judges until an alarm; gives how many it took."""
    for number in range(1, times + 1):
        if alarm := one.judge(float(draw.random() < good), expected + one.shift, 1.0):
            return number, alarm
    return times, None


@pytest.mark.parametrize("seed", range(20))
def test_a_model_that_becomes_much_worse_is_noticed_within_50_calls(seed: int) -> None:
    one, draw = tracker(), random.Random(seed)
    judged(one, draw, good=0.8, expected=0.8, times=100)
    _, alarm = judged(one, draw, good=0.4, expected=0.8, times=50)
    assert alarm is not None
    assert alarm.change is Change.WORSE
    assert alarm.size < -0.1


def test_a_steady_model_raises_few_alarms() -> None:
    alarms = 0
    for seed in range(20):
        one, draw = tracker(), random.Random(seed)
        alarms += sum(one.judge(float(draw.random() < 0.7), 0.7, 1.0) is not None for _ in range(500))
    assert alarms <= 4


def test_after_an_alarm_the_level_comes_near_what_it_is_now() -> None:
    one, draw = tracker(), random.Random(5)
    judged(one, draw, good=0.3, expected=0.8, times=50)
    assert one.epoch == 1
    for _ in range(150):
        one.judge(float(draw.random() < 0.3), 0.8 + one.shift, 1.0)
    assert one.shift == pytest.approx(-0.5, abs=0.1)


def test_a_model_that_recovers_is_noticed_too() -> None:
    one, draw = tracker(), random.Random(6)
    judged(one, draw, good=0.2, expected=0.8, times=50)
    for _ in range(60):
        one.judge(float(draw.random() < 0.2), 0.8 + one.shift, 1.0)
    calls, alarm = judged(one, draw, good=0.8, expected=0.8, times=50)
    assert alarm is not None
    assert alarm.change is Change.BETTER
    assert calls < 50


@pytest.mark.parametrize("seed", range(20))
def test_a_model_that_becomes_three_times_as_slow_is_noticed_within_50_calls(seed: int) -> None:
    one, draw = tracker(), random.Random(seed)
    assert not any(one.time(draw.lognormvariate(0, 0.4)) for _ in range(60))
    alarms = [one.time(3 * draw.lognormvariate(0, 0.4)) for _ in range(50)]
    first = next(number for number, alarm in enumerate(alarms) if alarm)
    found = alarms[first]
    assert found is not None
    assert found.change is Change.SLOWER
    assert first < 20
    assert one.latency > 2.0


def test_the_catalogue_counts_less_the_more_was_seen() -> None:
    one = tracker()
    assert one.latency == pytest.approx(2.0)
    for _ in range(100):
        one.time(0.5)
        one.length(50)
    assert one.latency == pytest.approx(0.5, rel=0.1)
    assert one.tokens(400) == pytest.approx(50, abs=40)


def test_what_it_knows_can_be_written_down() -> None:
    one, draw = tracker(), random.Random(1)
    for _ in range(30):
        one.judge(float(draw.random() < 0.5), 0.9 + one.shift, 1.0)
        one.time(draw.lognormvariate(0, 0.5))
    again = Tracker.from_json(one.as_json())
    assert again == one
    assert again.time(3.0) == one.time(3.0)


def test_reliability_is_the_part_of_calls_of_late_that_were_of_use() -> None:
    one = tracker()
    assert one.reliability == 1.0
    for number in range(400):
        one.end(failed=number % 10 == 0)
    assert one.reliability == pytest.approx(0.9, abs=0.03)
    for _ in range(1000):
        one.age()
    assert one.reliability == pytest.approx(1.0, abs=0.01)

import pytest

from intelforge.core.reports import Progress, Stage
from intelforge.ingest.progress import MEMORY_SECONDS, Meter


class Timer:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def told() -> list[Progress]:
    return []


@pytest.fixture
def meter(timer: Timer, told: list[Progress]) -> Meter:
    return Meter(told.append, timer=timer)


def test_rate_and_time_to_go_follow_from_what_was_done(meter: Meter, timer: Timer, told: list[Progress]) -> None:
    meter.expect("a", 60)
    meter.expect("b", 40)
    meter.tell(["a", "b"], detail="/data")
    assert told[-1] == Progress(stage=Stage.INGESTING, done=0, total=100, detail="/data")
    meter.advance(20)
    timer.now += 2
    meter.tell(["a", "b"])
    assert (told[-1].done, told[-1].total, told[-1].rate, told[-1].eta) == (20, 100, 10.0, 8.0)


def test_batches_that_ran_in_another_process_count_when_they_end(
    meter: Meter, timer: Timer, told: list[Progress]
) -> None:
    meter.expect("a", 60)
    meter.expect("b", 40)
    meter.tell(["a", "b"])
    timer.now += 6
    meter.tell(["b"])
    assert (told[-1].done, told[-1].rate, told[-1].eta) == (60, 10.0, 4.0)
    meter.tell([])
    assert (told[-1].done, told[-1].eta) == (100, 0.0)


def test_nothing_is_counted_twice_and_never_more_than_there_is(
    meter: Meter, timer: Timer, told: list[Progress]
) -> None:
    meter.expect("a", 10)
    meter.advance(10)
    meter.tell([])
    assert told[-1].done == 10
    meter.advance(5)
    meter.tell(["a"])
    assert told[-1].done == 10


def test_the_rate_is_that_of_the_recent_past(meter: Meter, timer: Timer, told: list[Progress]) -> None:
    meter.expect("a", 1000)
    meter.tell(["a"])
    timer.now += 1
    meter.advance(500)
    meter.tell(["a"])
    assert told[-1].rate == 500
    timer.now += MEMORY_SECONDS
    meter.tell(["a"])
    assert told[-1].rate == 0
    assert told[-1].eta is None


def test_batches_of_an_earlier_sync_are_nobodys_total(meter: Meter, told: list[Progress]) -> None:
    meter.tell(["left over"])
    assert (told[-1].done, told[-1].total, told[-1].eta) == (0, 0, None)

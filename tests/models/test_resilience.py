"""When a model is asked again, and when it is left alone."""

import pytest

from intelforge.core.errors import EgressError, ErrorCode, IntelForgeError, ModelError
from intelforge.models.failures import ADVICE, Failure, ProviderError, failure
from intelforge.models.resilience import CircuitBreaker, RetryPolicy, all_failed, broken_off

POLICY = RetryPolicy(jitter=lambda: 0.5)


def failed(kind: Failure = Failure.SERVER, retry_after: float | None = None) -> ProviderError:
    return failure(kind, f"a:x failed ({kind})", hint="try again", retry_after=retry_after)


def test_waits_grow_with_jitter_up_to_a_bound() -> None:
    policy = RetryPolicy(retries=9, jitter=lambda: 0.5)
    waits = [policy.wait(failed(), retries=number, remaining=100, others=False) for number in range(6)]
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]


def test_no_wait_is_shorter_than_was_asked_for() -> None:
    assert POLICY.wait(failed(retry_after=3.0), retries=0, remaining=10, others=False) == 3.0


@pytest.mark.parametrize(
    ("error", "retries", "remaining", "others"),
    [
        (failed(), 2, 100.0, False),
        (failed(), 0, 0.2, False),
        (failed(retry_after=50.0), 0, 20.0, False),
        (failed(retry_after=5.0), 0, 20.0, True),
        (failed(Failure.KEY), 0, 100.0, False),
        (broken_off(failed()), 0, 100.0, False),
        (EgressError("closed", code=ErrorCode.BLOCKED), 0, 100.0, False),
    ],
    ids=["often enough", "too late", "asked to wait too long", "others", "hopeless", "partial", "not the model's"],
)
def test_is_not_asked_again(error: ModelError, retries: int, remaining: float, others: bool) -> None:
    assert POLICY.wait(error, retries=retries, remaining=remaining, others=others) is None


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def breaker(clock: list[float]) -> CircuitBreaker:
    return CircuitBreaker(name="a:x", failures=3, window=10, rest=5, timer=lambda: clock[0])


def fail(breaker: CircuitBreaker, kind: Failure = Failure.SERVER) -> None:
    with pytest.raises(ProviderError, match=kind), breaker.watching():
        raise failed(kind)


def test_opens_after_failures_within_a_window_and_says_how_long(breaker: CircuitBreaker, clock: list[float]) -> None:
    for _ in range(3):
        assert not breaker.open
        fail(breaker)
    assert breaker.open
    clock[0] += 1
    with pytest.raises(ProviderError, match="left alone for 4 s") as caught, breaker.watching():
        pass
    assert caught.value.kind is Failure.RESTING
    assert caught.value.retry_after == 4.0


def test_failures_long_ago_do_not_count(breaker: CircuitBreaker, clock: list[float]) -> None:
    for _ in range(5):
        fail(breaker)
        clock[0] += 6
    assert not breaker.open


@pytest.mark.parametrize("kind", [kind for kind in Failure if not ADVICE[kind].counts])
def test_what_says_nothing_about_health_does_not_count(breaker: CircuitBreaker, kind: Failure) -> None:
    for _ in range(9):
        fail(breaker, kind)
    assert not breaker.open


def test_a_success_makes_up_for_failures(breaker: CircuitBreaker) -> None:
    for _ in range(4):
        fail(breaker)
        fail(breaker)
        with breaker.watching():
            pass
    assert not breaker.open


def test_lets_one_through_after_its_rest_and_closes_when_that_goes_well(
    breaker: CircuitBreaker, clock: list[float]
) -> None:
    for _ in range(3):
        fail(breaker)
    clock[0] += 5
    with breaker.watching():
        assert breaker.open, "a second one would be let through beside the first"
    assert not breaker.open


def test_rests_again_when_the_one_let_through_fails(breaker: CircuitBreaker, clock: list[float]) -> None:
    for _ in range(3):
        fail(breaker)
    clock[0] += 5
    fail(breaker)
    assert breaker.open
    clock[0] += 5
    assert not breaker.open


def test_one_let_through_that_is_given_up_makes_room_for_another(breaker: CircuitBreaker, clock: list[float]) -> None:
    for _ in range(3):
        fail(breaker)
    clock[0] += 5
    with pytest.raises(KeyboardInterrupt), breaker.watching():
        raise KeyboardInterrupt
    assert not breaker.open


def test_the_sum_of_failures_keeps_a_code_they_share() -> None:
    assert all_failed([failed(Failure.KEY), failed(Failure.CREDIT)]).error_code is ErrorCode.REFUSED
    assert all_failed([failed(Failure.KEY), failed(Failure.TIMEOUT)]).error_code is ErrorCode.MODEL_FAILED
    only = failed()
    assert all_failed([only]) is only


def test_the_sum_of_failures_may_be_tried_again_when_the_first_model_may() -> None:
    busy = [failure(Failure.BUSY, "a:x", hint="", retry_after=wait) for wait in (7.0, 3.0, None)]
    summed = all_failed(busy)
    assert isinstance(summed, ModelError)
    assert (summed.error_code, summed.retry_after) == (ErrorCode.RATE_LIMITED, 3.0)
    assert getattr(all_failed([failed(), failed()]), "retry_after", 0) is None


class BudgetSpentError(IntelForgeError):
    """An error of another part, which its callers look for."""

    code = ErrorCode.REFUSED


def test_the_sum_of_failures_of_one_kind_is_of_that_kind() -> None:
    spent = [BudgetSpentError("a:x: no room"), BudgetSpentError("b:y: no room")]
    assert isinstance(all_failed(spent), BudgetSpentError)
    assert all_failed(spent).error_code is ErrorCode.REFUSED
    assert type(all_failed([failed(), failed()])) is ModelError

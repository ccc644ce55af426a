import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from intelforge.core.errors import InvalidInputError
from intelforge.core.routing import PolicyValue, Replay
from intelforge.models.router.log import Routed
from intelforge.models.router.replay import replay
from intelforge.models.router.values import Judgement, Preference
from intelforge.testing.router_world import BOTH, GOOD, observation

AT = datetime(2026, 5, 4, tzinfo=UTC)


def logged(count: int, *, share: float = 0.3, judged: bool = True) -> list[Routed]:
    """Calls of which a share by chance went to the large model, whatever they were about."""
    draw, found = random.Random(11), []
    for number in range(count):
        kind = draw.choice(("sum", "talk"))
        large = draw.random() < share
        model = "large" if large else "small"
        one = observation(kind, model, draw)
        found.append(
            Routed(
                id=str(number),
                at=AT,
                request=one.features,
                model=model,
                propensity=share if large else 1 - share,
                quality=one.quality if judged else None,
                source=Judgement.EVALUATION if judged else Judgement.NONE,
                cost=0.001,
            )
        )
    return found


def of(found: Replay, policy: str) -> PolicyValue:
    return next(one for one in found.policies if one.policy == policy)


def test_what_another_policy_would_have_scored_is_within_its_interval() -> None:
    found = replay(logged(1200), BOTH, [Preference.parse("quality")])
    truth = {
        "always small": (GOOD["sum", "small"] + GOOD["talk", "small"]) / 2,
        "always large": (GOOD["sum", "large"] + GOOD["talk", "large"]) / 2,
        "quality": (GOOD["sum", "large"] + max(GOOD["talk", "small"], GOOD["talk", "large"])) / 2,
    }
    for policy, value in truth.items():
        one = of(found, policy)
        for estimate in (one.ips, one.normalised, one.doubly_robust):
            assert estimate.low - 0.03 < value < estimate.high + 0.03, policy
            assert estimate.low < estimate.value < estimate.high
        robust = one.doubly_robust.high - one.doubly_robust.low
        assert robust < one.ips.high - one.ips.low
    logged_value = 0.7 * truth["always small"] + 0.3 * truth["always large"]
    assert found.logged.low < logged_value < found.logged.high
    assert of(found, "quality").doubly_robust.value > of(found, "always small").doubly_robust.value + 0.2


def test_a_policy_says_on_how_much_its_estimate_rests() -> None:
    found = replay(logged(400), BOTH, [])
    small, large = of(found, "always small"), of(found, "always large")
    assert small.agreed + large.agreed == 400
    assert small.effective == pytest.approx(small.agreed)
    assert small.shares == {"small": 1.0, "large": 0.0}
    assert small.cost.value < large.cost.value


def test_a_model_never_called_may_be_as_good_or_bad_as_any() -> None:
    found = replay(logged(200, share=0.0), BOTH, [])
    large = of(found, "always large")
    assert (large.agreed, large.effective, large.ips.value) == (0, 0.0, 0.0)
    for estimate in (large.ips, large.normalised, large.doubly_robust):
        assert (estimate.low, estimate.high) == (0.0, 1.0)
    assert large.doubly_robust.value > 0.3


def test_calls_of_models_that_are_gone_are_told() -> None:
    log = logged(100)
    found = replay([replace(one, model="gone") if one.model == "large" else one for one in log], BOTH, [])
    gone = sum(one.model == "large" for one in log)
    assert found.notes == (f"{gone} of 100 judged calls went to models that the router cannot choose now: gone",)
    assert of(found, "always large").agreed == 0
    assert replay(log, BOTH, []).notes == ()


def test_what_calls_cost_is_of_those_that_say_it() -> None:
    log = logged(100)
    some = replay([*log[:50], *(replace(one, cost=None) for one in log[50:])], BOTH, [])
    assert some.logged_cost is not None
    assert some.logged_cost.value == pytest.approx(0.001)
    assert replay([replace(one, cost=None) for one in log], BOTH, []).logged_cost is None


def test_a_policy_knows_how_long_and_how_slow_the_replies_on_the_log_were() -> None:
    seconds, tokens = {"small": 30.0, "large": 0.5}, {"small": 4000, "large": 10}
    log = [replace(one, latency=seconds[one.model], output_tokens=tokens[one.model]) for one in logged(100)]
    found = replay(log, BOTH, [Preference.parse("latency=10")])
    assert of(found, "latency=10").shares["large"] == 1.0
    assert of(found, "always large").cost.value < replay(logged(100), BOTH, []).policies[1].cost.value


def test_each_of_several_weights_is_a_policy() -> None:
    found = replay(logged(100), BOTH, [Preference.parse(text) for text in ("cost=0.1", "cost=0.1, latency=0.2")])
    assert [one.policy for one in found.policies[:2]] == ["cost=0.1", "cost=0.1, latency=0.2"]


def test_the_same_log_gives_the_same_numbers() -> None:
    log = logged(100)
    assert replay(log, BOTH, [Preference.parse("cheap")]) == replay(log, BOTH, [Preference.parse("cheap")])


def test_calls_that_nobody_judged_say_nothing() -> None:
    with pytest.raises(InvalidInputError, match="0 judged calls, and 20 are needed"):
        replay(logged(100, judged=False), BOTH, [])

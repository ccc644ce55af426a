import random
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


def test_a_model_never_called_is_known_by_its_prediction_alone() -> None:
    found = replay(logged(200, share=0.0), BOTH, [])
    large = of(found, "always large")
    assert (large.agreed, large.effective, large.ips.value) == (0, 0.0, 0.0)
    assert (large.normalised.low, large.normalised.high) == (0.0, 1.0)
    assert large.doubly_robust.value > 0.3


def test_the_same_log_gives_the_same_numbers() -> None:
    log = logged(100)
    assert replay(log, BOTH, [Preference.parse("cheap")]) == replay(log, BOTH, [Preference.parse("cheap")])


def test_calls_that_nobody_judged_say_nothing() -> None:
    with pytest.raises(InvalidInputError, match="0 judged calls, and 20 are needed"):
        replay(logged(100, judged=False), BOTH, [])

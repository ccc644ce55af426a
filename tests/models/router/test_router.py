import json
import random
from collections import Counter

import pytest

from intelforge.core.errors import InvalidInputError
from intelforge.models.router.policy import NONE, Exploration
from intelforge.models.router.router import Options, Router
from intelforge.models.router.tracker import Change
from intelforge.models.router.values import Candidate, Constraints, Decision, Judgement, Observation, Preference
from intelforge.testing.router_world import BOTH, LARGE, SMALL, observation, request

QUALITY = Preference.parse("quality")
STEADY = Options(preference=QUALITY, exploration=NONE)


def taught(options: Options = STEADY, *, times: int = 200) -> Router:
    router, draw = Router(BOTH, options), random.Random(1)
    for _ in range(times):
        kind = draw.choice(("sum", "talk"))
        for model in ("small", "large"):
            router.observe(observation(kind, model, draw))
        if router.due:
            router.learn()
    return router


def test_before_anything_was_seen_the_catalogue_decides() -> None:
    decision = Router(BOTH, STEADY).decide(request("sum", random.Random(0)))
    assert decision.model == "large"
    assert [one.quality for one in decision.predictions] == [0.6, 0.5]
    assert all(one.confidence == 0 for one in decision.predictions)
    assert "mostly by what was known before" in decision.reason


def test_it_learns_which_model_is_worth_its_money_for_what() -> None:
    router, draw = taught(), random.Random(7)
    assert router.decide(request("sum", draw)).model == "large"
    decision = router.decide(request("talk", draw), preference=Preference.parse("cheap"))
    assert decision.model == "small"
    assert decision.ranking == ("small", "large")
    assert decision.predictions[0].confidence > 0.5


def test_a_decision_is_one_sentence_and_survives_json() -> None:
    decision = taught().decide(request("sum", random.Random(2)))
    assert decision.reason.startswith("large: quality 0.")
    assert "before small" in decision.reason
    assert decision.reason.count(".") >= 1
    assert "\n" not in decision.reason
    assert Decision.from_json(json.loads(json.dumps(decision.as_json()))) == decision
    with pytest.raises(InvalidInputError, match="no decision"):
        Decision.from_json({"model": "large"})


@pytest.mark.parametrize(
    ("constraints", "model", "why"),
    [
        (Constraints(local_only=True), "small", "not on this machine"),
        (Constraints(images=True), "large", "cannot see images"),
        (Constraints(context=5000), "large", "reads 4,096 tokens, not 5,000"),
    ],
)
def test_constraints_hold_whatever_is_worth_more(constraints: Constraints, model: str, why: str) -> None:
    small = Candidate(name="small", local=True, context=4096, prior=0.9)
    router = Router((small, LARGE), Options(exploration=Exploration(share=0.5, cost_share=1.0), seed=1))
    for seed in range(20):
        decision = router.decide(request("sum", random.Random(seed)), constraints=constraints)
        assert decision.model == model
        assert decision.ranking == (model,)
    assert [one.refused for one in decision.predictions] == ["", why]
    assert "the only one that can take it" in decision.reason


def test_when_nobody_can_take_it_the_error_says_why() -> None:
    with pytest.raises(InvalidInputError, match="small: cannot see images; large: not on this machine"):
        Router(BOTH).decide(request("sum", random.Random(0)), constraints=Constraints(local_only=True, images=True))


def test_it_tries_out_no_more_than_its_part() -> None:
    router = Router(
        BOTH, Options(preference=QUALITY, exploration=Exploration(share=0.2, cost_share=1.0, quality_share=1.0), seed=4)
    )
    draw = random.Random(9)
    decisions = [router.decide(request("talk", draw)) for _ in range(400)]
    explored = [one for one in decisions if one.explored]
    assert 0.1 < len(explored) / 400 < 0.3
    assert {round(one.propensity, 6) for one in decisions[1:]} == {0.8, 0.2}
    assert all(one.propensity == 0.2 and "tried to learn" in one.reason for one in explored)


def test_a_frozen_router_learns_nothing_and_tries_nothing_out() -> None:
    router = taught(Options(preference=QUALITY, exploration=Exploration(share=0.5, cost_share=1.0), seed=4), times=30)
    router.freeze()
    draw = random.Random(3)
    asked = request("sum", draw)
    before = router.decide(asked)
    for _ in range(60):
        assert router.observe(observation("sum", "large", draw, good=0.0)) == []
    assert not router.due
    assert router.decide(asked) == before
    assert len({router.decide(asked).model for _ in range(50)}) == 1
    remembered = len(router.experience)
    router.unfreeze()
    router.observe(observation("sum", "large", draw))
    assert len(router.experience) == remembered + 1


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_became_worse_is_routed_around_within_50_calls(seed: int) -> None:
    router, draw = taught(), random.Random(seed)
    changes: list[Change] = []
    chosen: list[str] = []
    for _ in range(50):
        model = router.decide(request("sum", draw)).model
        chosen.append(model)
        alarms = router.observe(observation("sum", model, draw, good=0.02 if model == "large" else None))
        changes += [alarm.change for alarm in alarms]
        if router.due:
            router.learn()
    assert Change.WORSE in changes
    assert Counter(chosen[-5:])["small"] >= 4


def test_a_model_that_became_slow_is_routed_around_where_time_counts() -> None:
    router, draw = taught(), random.Random(3)
    fast = Preference.parse("fast")
    assert router.decide(request("talk", draw), preference=fast).model == "small"
    for _ in range(50):
        one = observation("talk", "small", draw)
        router.observe(
            Observation(features=one.features, model="small", quality=None, latency=20.0, source=Judgement.NONE)
        )
    assert router.decide(request("talk", draw), preference=fast).model == "large"


def ended(model: str, draw: random.Random, *, failed: bool) -> Observation:
    """A call of which nobody says how good its reply was."""
    if failed:
        return Observation(features=request("talk", draw), model=model, quality=0.0, source=Judgement.RETRY)
    return Observation(
        features=request("talk", draw), model=model, quality=None, source=Judgement.NONE, latency=LATENCY[model]
    )


LATENCY = {one.name: one.latency for one in BOTH}


@pytest.mark.parametrize("seed", range(3))
def test_a_few_failures_among_replies_that_nobody_judged_cost_a_model_little(seed: int) -> None:
    router, draw = Router(BOTH, STEADY), random.Random(seed)
    for _ in range(800):
        assert router.decide(request("talk", draw)).model == "large"
        router.observe(ended("large", draw, failed=draw.random() < 0.03))
        if router.due:
            router.learn()
    assert 0.5 < router.mean_quality("large") <= 0.6
    assert router.mean_quality("small") == 0.5


def test_a_model_that_fails_is_routed_around_and_asked_again_later() -> None:
    router, draw = Router(BOTH, STEADY), random.Random(4)
    chosen = []
    for _ in range(1500):
        chosen.append(router.decide(request("talk", draw)).model)
        router.observe(ended(chosen[-1], draw, failed=chosen[-1] == "large"))
    first = chosen.index("small")
    assert first < 10
    again = chosen.index("large", first) - first
    assert 20 < again < 600
    assert chosen.count("large") < 60


def test_candidates_may_come_and_go() -> None:
    router = taught()
    other = Candidate(name="other", prior=0.3)
    router.set_candidates((SMALL, other))
    decision = router.decide(request("sum", random.Random(0)), preference=Preference(cost=0.0, latency=0.0))
    assert {one.model for one in decision.predictions} == {"small", "other"}
    assert decision.model == "other"
    router.set_candidates(BOTH)
    assert router.decide(request("sum", random.Random(0))).model == "large"
    with pytest.raises(InvalidInputError, match="twice"):
        router.set_candidates((SMALL, SMALL))


def test_a_judgement_of_nobody_teaches_nothing() -> None:
    router, draw = Router(BOTH, STEADY), random.Random(0)
    one = observation("sum", "small", draw)
    router.observe(Observation(features=one.features, model="small", quality=0.0, source=Judgement.NONE))
    assert len(router.experience) == 0
    with pytest.raises(InvalidInputError, match="from 0 to 1"):
        Observation(features=one.features, model="small", quality=1.5)


def test_a_model_that_is_no_candidate_is_learned_of() -> None:
    router, draw = Router((SMALL,), STEADY), random.Random(0)
    for _ in range(20):
        router.observe(observation("sum", "large", draw))
    router.learn()
    assert router.mean_quality("large") > 0.6
    assert router.decide(request("sum", draw)).model == "small"

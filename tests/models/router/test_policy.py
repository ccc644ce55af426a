import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import ConfigError, InvalidInputError
from intelforge.models.router.policy import NONE, Exploration, Spending, drawn, propensities, valued
from intelforge.models.router.values import Prediction, Preference


def prediction(
    model: str, *, quality: float, cost: float = 1.0, latency: float = 1.0, uncertainty: float = 0.1
) -> Prediction:
    return Prediction(
        model=model,
        quality=quality,
        uncertainty=uncertainty,
        confidence=0.5,
        cost=cost,
        latency=latency,
        worth=0.0,
        propensity=0.0,
    )


CHEAP = prediction("cheap", quality=0.7, cost=0.01, latency=3.0)
DEAR = prediction("dear", quality=0.8, cost=1.0, latency=2.0)
QUICK = prediction("quick", quality=0.6, cost=0.5, latency=0.2)


@pytest.mark.parametrize(
    ("preference", "first"),
    [("quality", "dear"), ("cheap", "cheap"), ("fast", "quick"), ("cost=0.0,latency=0.0", "dear")],
)
def test_a_preference_decides_who_is_worth_most(preference: str, first: str) -> None:
    ranked = valued([CHEAP, DEAR, QUICK], Preference.parse(preference))
    assert ranked[0].model == first
    assert [one.worth for one in ranked] == sorted((one.worth for one in ranked), reverse=True)


@pytest.mark.parametrize("text", ["best", "cost=x", "cost=-1", "cost=nan", "speed=1", "cost"])
def test_what_is_no_preference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Preference.parse(text)


def test_of_equal_worth_the_cheaper_one_is_first() -> None:
    free = Preference(cost=0.0, latency=0.0)
    twins = [prediction("dear", quality=0.5, cost=2.0), prediction("cheap", quality=0.5, cost=1.0)]
    assert valued(twins, free)[0].model == "cheap"


def test_only_what_might_be_better_is_tried_out() -> None:
    spending = Spending(total=1000.0, quality=1000.0)
    near = prediction("near", quality=0.78)
    far = prediction("far", quality=0.1)
    ranked = valued([DEAR, near, far], Preference(cost=0.0, latency=0.0))
    chances = propensities(ranked, Exploration(share=0.1), spending)
    assert chances == pytest.approx({"dear": 0.9, "near": 0.1})
    assert propensities(ranked, NONE, spending) == {"dear": 1.0}


def test_trying_out_gives_up_no_more_than_its_part_of_the_quality() -> None:
    near = prediction("near", quality=0.78)
    exploration = Exploration(share=0.1, quality_share=0.01)
    spending = Spending(total=1000.0)
    assert propensities([DEAR, near], exploration, spending) == {"dear": 1.0}
    spending += Spending.of(DEAR, DEAR)
    spending += Spending.of(DEAR, DEAR)
    assert propensities([DEAR, near], exploration, spending) == {"dear": 1.0}
    spending += Spending.of(DEAR, DEAR)
    assert propensities([DEAR, near], exploration, spending)["near"] == pytest.approx(0.1)
    spending += Spending.of(near, DEAR)
    assert spending.given_up == pytest.approx(0.02)
    assert propensities([DEAR, near], exploration, spending) == {"dear": 1.0}


def test_trying_out_keeps_to_its_part_of_the_money() -> None:
    cheap_first = valued([CHEAP, prediction("dear", quality=0.72, cost=1.0)], Preference.parse("cheap"))
    exploration = Exploration(share=0.2, cost_share=0.1)
    spending = Spending(total=5.0)
    assert propensities(cheap_first, exploration, spending) == {"cheap": 1.0}
    spending = Spending(total=50.0)
    hopeful = valued([CHEAP, prediction("dear", quality=0.72, cost=1.0, uncertainty=0.6)], Preference.parse("cheap"))
    assert propensities(hopeful, exploration, spending)["dear"] == pytest.approx(0.2)
    spending += Spending(exploring=4.5)
    assert propensities(hopeful, exploration, spending) == {"cheap": 1.0}


@pytest.mark.parametrize("wrong", [{"share": -0.1}, {"share": 0.6}, {"cost_share": 2.0}, {"quality_share": -1.0}])
def test_exploration_has_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Exploration(**wrong)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5), st.floats(0, 0.999999))
def test_models_are_drawn_by_their_chances(parts: list[float], at: float) -> None:
    chances = {f"m{number}": part / sum(parts) for number, part in enumerate(parts)}
    model = drawn(chances, at)
    before = sum(chance for name, chance in chances.items() if name < model)
    assert before - 1e-9 <= at <= before + chances[model] + 1e-9

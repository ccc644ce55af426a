"""A model as a candidate: what the catalogue knows of it, and what a probe measured."""

from collections.abc import Mapping
from typing import Final

from intelforge.core.model_reports import Profile, Skill
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.facts import ModelFacts
from intelforge.models.catalogue.standing import expected_doublings
from intelforge.models.router.quality import PRIOR_COUNT
from intelforge.models.router.values import EXPECTED_OUTPUT, Candidate
from intelforge.models.targets import Target

NANO_DOLLARS: Final = 1e9
HIGH_PRICE: Final = 10.0
"""US dollars for a million tokens: what a model whose price nobody knows is taken to cost"""
UNKNOWN_LOCAL: Final = 0.5
"""the prior of a model on this machine whose size nobody knows, and of one of MIDDLE doublings"""
MIDDLE: Final = 4.0
"""8 billion parameters of 2025; see `catalogue/standing.py`"""
A_DOUBLING: Final = 0.05
LEAST_PRIOR: Final = 0.25
MOST_PRIOR: Final = 0.75
LATENCY: Final = Candidate(name="").latency


async def candidate_of(url: str, target: Target, catalogue: Catalogue) -> Candidate:
    """A model by its URL, which is the candidate's name. What nobody knows of it is taken not to be in the way."""
    facts, profile = await catalogue.measured_facts(target.name), await catalogue.profile(target.name)
    able = facts.abilities
    input_price, output_price = _prices(facts) if not target.local else (0.0, 0.0)
    prior = expected_quality(facts, output_price=None if target.local else output_price)
    return Candidate(
        name=url,
        input_price=input_price,
        output_price=output_price,
        latency=_latency(profile) if profile else LATENCY,
        context=facts.context_window,
        tools=able.tools is not False,
        images=bool(able.images),
        json=able.json_schema is not False,
        local=target.local,
        prior=_measured(prior, profile) if profile else prior,
    )


def expected_quality(facts: ModelFacts, *, output_price: float | None) -> float:
    """The prior, 0 to 1: by size and age where they are known, else by the price in US dollars for a million tokens,
    since what is dear is taken to be better until it is known. No price is that of a model on this machine."""
    grown = expected_doublings(facts)
    if grown is not None:
        return min(max(UNKNOWN_LOCAL + A_DOUBLING * (grown - MIDDLE), LEAST_PRIOR), MOST_PRIOR)
    return UNKNOWN_LOCAL if output_price is None else 0.6 + 0.2 * min(1.0, output_price / HIGH_PRICE)


def _prices(facts: ModelFacts) -> tuple[float, float]:
    """For a million tokens read and written."""
    prices = facts.prices
    given: Mapping[str, int | None] = {"input": prices.input, "output": prices.output} if prices else {}
    read, wrote = (
        HIGH_PRICE if price is None else price / NANO_DOLLARS for price in map(given.get, ("input", "output"))
    )
    return read, wrote


def _measured(prior: float, profile: Profile) -> float:
    """The prior with what a probe found: each try counts as a judged reply, and the prior as PRIOR_COUNT."""
    trials = [trial for trial in profile.trials if trial.skill is not Skill.CONTEXT]
    tries, passed = sum(trial.tries for trial in trials), sum(trial.passed for trial in trials)
    return (PRIOR_COUNT * prior + passed) / (PRIOR_COUNT + tries)


def _latency(profile: Profile) -> float:
    """Seconds that a whole reply would take at the measured speed."""
    if not profile.tokens_per_second:
        return max(LATENCY, profile.first_token_seconds)
    return profile.first_token_seconds + EXPECTED_OUTPUT / profile.tokens_per_second

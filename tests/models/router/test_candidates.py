"""Models as candidates: by the catalogue, and by what was measured."""

from datetime import UTC, datetime
from typing import Any

import pytest

from intelforge.core.model_reports import Profile, Skill, Trial
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.overrides import Override
from intelforge.models.router.candidates import LATENCY, LEAST_PRIOR, MOST_PRIOR, UNKNOWN_LOCAL, candidate_of
from intelforge.models.router.lent import LentRouter
from intelforge.models.router.memory import MemoryRouterLog
from intelforge.models.router.policy import NONE
from intelforge.models.router.router import Options
from intelforge.models.router.values import Candidate
from intelforge.models.targets import read_target
from intelforge.testing.gateway import ask

URL = "openai:some"
GIVEN: dict[str, Any] = {"input_usd_per_million": 1, "output_usd_per_million": 5, "context_window": 1000}


def profile(
    model: str, *, passed: int, tries: int = 8, first: float = 0.5, rate: float = 100.0, context: int = 0
) -> Profile:
    trials = (
        Trial(skill=Skill.CITES, tries=tries, passed=passed),
        Trial(skill=Skill.SCHEMA, tries=2, passed=2),
        Trial(skill=Skill.CONTEXT, tries=4, passed=context),
    )
    at = datetime(2026, 5, 4, tzinfo=UTC)
    return Profile(model=model, at=at, trials=trials, first_token_seconds=first, tokens_per_second=rate)


async def candidate(*profiles: Profile, url: str = URL, **given: Any) -> Candidate:
    target = read_target(url, environment={"OPENAI_API_KEY": "k"})
    catalogue = Catalogue(overrides={target.name: Override.model_validate(given)}, environment={})
    for one in profiles:
        await catalogue.keep(one)
    return await candidate_of(url, target, catalogue)


async def test_prices_and_abilities_are_those_of_the_catalogue() -> None:
    found = await candidate(**GIVEN, tools=False, json_schema=False, images=True)
    assert (found.name, found.input_price, found.output_price, found.context) == (URL, 1.0, 5.0, 1000)
    assert (found.tools, found.json, found.images, found.local) == (False, False, True, False)
    assert found.prior == pytest.approx(0.7)
    assert found.latency == LATENCY
    unknown = await candidate(context_window=1000)
    assert (unknown.tools, unknown.json, unknown.images) == (True, True, False)


async def test_a_model_on_this_machine_costs_nothing() -> None:
    found = await candidate(url="mock:here", **GIVEN)
    assert (found.input_price, found.output_price, found.local, found.prior) == (0.0, 0.0, True, 0.5)


async def test_of_models_that_cost_the_same_the_larger_and_newer_is_expected_to_be_better() -> None:
    small, large = await candidate(url="ollama:qwen3:0.6b"), await candidate(url="ollama:qwen3:32b")
    assert LEAST_PRIOR < small.prior < UNKNOWN_LOCAL < large.prior < MOST_PRIOR
    served = await candidate(url="http://127.0.0.1:1/v1#some-70b-chat")
    assert served.prior > (await candidate(url="http://127.0.0.1:1/v1#some-7b-chat")).prior


@pytest.mark.parametrize(("name", "bound"), [("some-900000b", MOST_PRIOR), ("some-1m", LEAST_PRIOR)])
async def test_no_size_says_more_than_the_bounds(name: str, bound: float) -> None:
    assert (await candidate(url=f"http://127.0.0.1:1/v1#{name}")).prior == bound


async def test_what_a_probe_measured_counts_beside_the_prior() -> None:
    good, bad = await candidate(profile(URL, passed=8), **GIVEN), await candidate(profile(URL, passed=0), **GIVEN)
    assert good.prior == pytest.approx((8 * 0.7 + 10) / 18)
    assert bad.prior == pytest.approx((8 * 0.7 + 2) / 18)
    assert good.latency == pytest.approx(0.5 + 400 / 100)
    assert await candidate(profile(URL, passed=8, context=4), **GIVEN) == good  # the window is a fact of its own
    assert (await candidate(profile(URL, passed=8, rate=0.0, first=9.0), **GIVEN)).latency == 9.0


async def test_a_router_that_knows_nothing_yet_goes_by_what_was_probed() -> None:
    catalogue = Catalogue(environment={})
    router = LentRouter(
        named=("mock:one", "mock:two"),
        catalogue=catalogue,
        log=MemoryRouterLog(),
        options=Options(exploration=NONE),
    )
    await catalogue.keep(profile("mock:one", passed=1))
    await catalogue.keep(profile("mock:two", passed=8))
    assert (await router.route(ask(), url="router:")).order == ("mock:two", "mock:one")

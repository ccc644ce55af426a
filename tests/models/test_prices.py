"""What models cost, by the user's file and by the bundled list."""

import json
from pathlib import Path

import pytest

from intelforge import Workspace
from intelforge.core.chat import Tokens
from intelforge.models.catalogue.facts import Prices
from intelforge.models.prices import GivenPrices

DOLLAR = 1_000_000_000
TOKENS = Tokens(input=1_000_000, output=500_000, cache_read=200_000, cache_write=100_000)


@pytest.mark.parametrize(
    ("prices", "tokens", "cost"),
    [
        (Prices(input=DOLLAR, output=4 * DOLLAR), TOKENS, 3.0),
        (Prices(input=DOLLAR, output=4 * DOLLAR, cache_read=0, cache_write=2 * DOLLAR), TOKENS, 2.9),
        (Prices(input=DOLLAR), Tokens(input=3), 0.000003),
        (Prices(input=DOLLAR), Tokens(input=3, output=1), None),
        (Prices(output=DOLLAR), Tokens(output=1), None),
    ],
)
def test_what_the_file_says_is_what_is_paid(prices: Prices, tokens: Tokens, cost: float | None) -> None:
    found = GivenPrices(lambda name: prices).cost("openai", "m", tokens)
    assert found == (None if cost is None else pytest.approx(cost))


def test_where_the_file_says_nothing_the_list_counts() -> None:
    prices = GivenPrices({"openai:gpt-4o-mini": None}.get)
    assert prices.cost("openai", "gpt-4o-mini", Tokens(input=1_000_000)) == pytest.approx(0.15)
    assert prices.cost("openai", "no such model", Tokens(input=1)) is None


async def test_a_workspace_takes_prices_from_its_file(tmp_path: Path) -> None:
    root = Workspace.init(tmp_path / "workspace")
    told = {
        "openai:gpt-4o-mini": {"input_usd_per_million": 7, "output_usd_per_million": 9},
        "openai:text-embedding-3-small": {"context_window": 100},
    }
    (root / "facts.json").write_text(json.dumps(told))
    settings = 'embedder = "none:"\nllm = "none:"\njobs = "memory:"\nmodel_facts = "facts.json"\n'
    (root / "intelforge.toml").write_text(settings)
    async with Workspace.open(root) as workspace:
        prices = workspace._parts._prices
        assert prices.cost("openai", "gpt-4o-mini", Tokens(input=1_000_000)) == pytest.approx(7.0)
        assert workspace._parts.gateway.prices is prices
        small = prices.cost("openai", "text-embedding-3-small", Tokens(input=1_000_000))
        assert small == pytest.approx(0.02)

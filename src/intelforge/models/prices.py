"""What models cost: by the user's file, else by the bundled list."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from intelforge.core.chat import Tokens
from intelforge.core.money import NANO
from intelforge.models.catalogue.facts import Prices
from intelforge.models.providers import PROVIDERS

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ListPrices:
    """What the bundled price list says."""

    def cost(self, provider: str, model: str, tokens: Tokens) -> float | None:
        """US dollars; None when the model is not in it."""
        import genai_prices  # slow to import: only those need it who pay

        facts = PROVIDERS.get(provider)
        listed = (facts.prices if facts else "") or provider
        if provider == "huggingface" and ":" in model:
            model, _, host = model.rpartition(":")
            listed = f"huggingface_{host}"
        usage = genai_prices.Usage(
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read or None,
            cache_write_tokens=tokens.cache_write or None,
        )
        try:
            return float(genai_prices.calc_price(usage, model_ref=model, provider_id=listed).total_price)
        except (LookupError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class GivenPrices:
    """What the user's file says, else the bundled list."""

    given: Callable[[str], Prices | None]
    """of `provider:name`; None where the file says nothing of its prices"""
    listed: ListPrices = field(default_factory=ListPrices)

    def cost(self, provider: str, model: str, tokens: Tokens) -> float | None:
        """US dollars; None when neither knows. What a cache reads or writes costs as other input, unless it is said."""
        prices = self.given(f"{provider}:{model}")
        if prices is None:
            return self.listed.cost(provider, model, tokens)
        if prices.input is None or (prices.output is None and tokens.output):
            return None
        read = prices.input if prices.cache_read is None else prices.cache_read
        written = prices.input if prices.cache_write is None else prices.cache_write
        plain = max(0, tokens.input - tokens.cache_read - tokens.cache_write)
        of_input = plain * prices.input + tokens.cache_read * read + tokens.cache_write * written
        return (of_input + tokens.output * (prices.output or 0)) / MILLION / NANO

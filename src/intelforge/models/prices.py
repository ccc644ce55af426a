"""Prices by the bundled list."""

from dataclasses import dataclass

from intelforge.core.chat import Tokens
from intelforge.models.providers import PROVIDERS


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

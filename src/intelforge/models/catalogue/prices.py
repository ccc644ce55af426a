"""What hosted models cost, from the price list that is installed with IntelForge: nothing is fetched."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from intelforge.models.catalogue.facts import Prices

NANO: Final = Decimal(1_000_000_000)
LISTED_AS: Final = {"gemini": "google", "xai": "x-ai"}
"""providers that the list names otherwise than our URLs"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What the list says of one model."""

    prices: Prices | None
    context: int | None


def listed(provider: str, model: str, *, now: datetime | None = None) -> Listed | None:
    """A model's entry in the list; None when it has none."""
    from genai_prices.data_snapshot import get_snapshot  # slow to import

    listed_as = LISTED_AS.get(provider, provider)
    if provider == "huggingface" and ":" in model:
        model, _, host = model.rpartition(":")
        listed_as = f"huggingface_{host}"
    try:
        _, found = get_snapshot().find_provider_model(model, None, listed_as, None)
    except LookupError:
        return None
    told = found.get_prices(now or datetime.now(UTC))
    return Listed(prices=_prices(told), context=found.context_window)


def nano(dollars: Decimal | float | str) -> int:
    """Dollars as whole nano-dollars, halves to even."""
    return int((Decimal(str(dollars)) * NANO).to_integral_value(ROUND_HALF_EVEN))


def dollars(value: int) -> float:
    """Nano-dollars as people read them."""
    return float(Decimal(value) / NANO)


def _prices(told: Any) -> Prices | None:
    fields = {
        "input": told.input_mtok,
        "output": told.output_mtok,
        "cache_read": told.cache_read_mtok,
        "cache_write": told.cache_write_mtok,
    }
    if all(price is None for price in fields.values()):
        return None
    bases = {name: getattr(price, "base", price) for name, price in fields.items()}
    return Prices(
        **{name: None if base is None else nano(base) for name, base in bases.items()},
        tiered=any(hasattr(price, "base") for price in fields.values()),
    )

"""Money, exactly: whole nano-dollars where it is counted, US dollars where people read it."""

import math
from typing import Final

NANO: Final = 1_000_000_000
"""nano-dollars in a dollar"""
MOST_USD: Final = 1_000_000_000.0
"""more than any call or budget is; a number above it is a mistake"""


def nano_of(usd: float) -> int:
    """Whole nano-dollars, never below zero and never above what a database can hold."""
    return round(min(max(usd, 0.0), MOST_USD) * NANO)


def usd_of(nano: int) -> float:
    return nano / NANO


def known_usd(usd: float | None) -> float | None:
    """An amount that makes sense, else None: what a provider says of its costs may be anything."""
    return usd if usd is not None and math.isfinite(usd) and 0.0 <= usd <= MOST_USD else None


def dollars(usd: float) -> str:
    """`$1,234.50`, `$0.01`, `$0.0042`: cents at the least, and two digits of a smaller amount."""
    if usd == 0 or abs(usd) >= 0.1:
        return f"${usd:,.2f}"
    digits = min(9, 1 - math.floor(math.log10(abs(usd))))
    return f"${plain(usd, digits)}"


def plain(usd: float, digits: int = 9) -> str:
    """`5.00`, `0.125`: an amount as the command line takes it."""
    text = f"{usd:.{digits}f}"
    shortest = text.index(".") + 3
    return text[:shortest] + text[shortest:].rstrip("0")

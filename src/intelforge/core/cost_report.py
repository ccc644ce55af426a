"""Cost reports as values: what calls cost, by whom they were for, beside the period before, with a forecast."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from intelforge.core.costs import Alert, BudgetStatus
from intelforge.core.errors import InvalidInputError


class Dimension(StrEnum):
    """What costs can be told apart by."""

    USER = "user"
    TEAM = "team"
    RUN = "run"
    MODEL = "model"
    PROVIDER = "provider"
    PURPOSE = "purpose"
    KIND = "kind"


class Step(StrEnum):
    """How finely costs are told apart in time. In UTC; weeks begin on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostQuery:
    """Which costs, and how they are told apart."""

    by: tuple[Dimension, ...] = ()
    per: Step | None = None
    since: datetime | None = None
    """the beginning of this month when None"""
    until: datetime | None = None
    """now when None"""
    only: Mapping[Dimension, str] = field(default_factory=dict)
    """calls that have these names"""
    limit: int = 20
    """rows, those that cost most"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What a group of calls cost."""

    group: Mapping[str, str] = field(default_factory=dict)
    """names by dimension; an empty one is nobody in particular"""
    period: str = ""
    """`2026-11-21T17`, `2026-11-21`, `2026-W47` or `2026-11`"""
    calls: int = 0
    failed: int = 0
    """with an error, or by the death of their process"""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0
    cost_usd: float = 0.0
    share: float = 0.0
    """of the total"""
    before_usd: float | None = None
    """in the period before; None when the row has none"""
    change: float | None = None
    """against that: 0.25 is a quarter more; None when there was nothing"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactness:
    """How well the costs are known."""

    open_calls: int = 0
    """under way"""
    reserved_usd: float = 0.0
    """by those"""
    estimated: int = 0
    """calls charged their reservation, because what they cost is not known"""
    unpriced: int = 0
    """calls whose price is not known, counted as nothing"""
    overruns: int = 0
    """calls that cost more than was reserved for them"""
    overrun_usd: float = 0.0
    """by how much, in all"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What this month will have cost at its end."""

    month: str
    spent_usd: float
    expected_usd: float | None = None
    """None when too little is known"""
    low_usd: float | None = None
    """four of five outcomes lie between this and `high_usd`"""
    high_usd: float | None = None
    days: int = 0
    """whole days that it rests on"""
    method: str
    """one sentence"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """What calls cost within a time."""

    since: datetime
    until: datetime
    before: datetime
    """where the period begins that this one is held against; it is as long"""
    only: Mapping[str, str] = field(default_factory=dict)
    total: CostRow
    rows: tuple[CostRow, ...] = ()
    left_out: int = 0
    """rows beyond the limit"""
    exactness: Exactness = Exactness()
    forecast: Forecast | None = None
    """None for a report that does not reach to now"""
    budgets: tuple[BudgetStatus, ...] = ()
    alerts: tuple[Alert, ...] = ()
    """the last ones within that time, newest first"""
    notes: tuple[str, ...] = ()


EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPANS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def moment_of(text: str, now: datetime) -> datetime:
    """`24h`, `7d` or `4w` before now, or a date or time, in UTC unless it says otherwise. Raises InvalidInputError."""
    if match := re.fullmatch(r"(\d{1,5})([hdw])", text.strip()):
        span = int(match[1]) * _SPANS[match[2]]
        if span < now - EARLIEST:
            return now - span
    try:
        found = datetime.fromisoformat(text.strip())
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"{text!r} is not a time", hint="write 24h, 7d or 4w, or a date like 2026-01-31"
        ) from error

"""Budgets and costs as values: the same for the ledger, the command line, the API and the web."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

EACH: Final = "*"
"""in a budget's scope: each one for themselves"""


class Period(StrEnum):
    """How long a budget lasts before it begins anew. Periods are those of the calendar in UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"
    """never begins anew"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One period on the calendar."""

    key: str
    """`2026-11-21T17`, `2026-11-21`, `2026-11` or `total`"""
    start: datetime | None
    end: datetime | None
    """the first moment after it; None when it never ends"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose calls a budget counts: those that agree in every field that is not empty. `*` counts each name alone."""

    user: str = ""
    team: str = ""
    run: str = ""
    model: str = ""
    """`provider:name`"""

    def items(self) -> tuple[tuple[str, str], ...]:
        """The fields that are not empty."""
        pairs = (("user", self.user), ("team", self.team), ("run", self.run), ("model", self.model))
        return tuple((name, value) for name, value in pairs if value)

    def __str__(self) -> str:
        """`user ann, each model`, or `the workspace`."""
        words = (f"each {name}" if value == EACH else f"{name} {value}" for name, value in self.items())
        return ", ".join(words) or "the workspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent within a period."""

    id: str = ""
    scope: Scope = Scope()
    period: Period
    limit_usd: float
    hard: bool = True
    """calls that could go beyond it are refused; else they are only told of"""
    thresholds: tuple[int, ...] = (50, 80, 100)
    """percent of the limit at which an alert is raised, once in each period"""
    created_at: datetime | None = None

    def command(self, limit: str) -> str:
        """What sets this budget to another limit."""
        options = "".join(f" --{name} {shlex.quote(value)}" for name, value in self.scope.items())
        return f"intelforge budget set --per {self.period}{options} {limit}{'' if self.hard else ' --warn'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a budget is used in its present period."""

    subject: Mapping[str, str] = field(default_factory=dict)
    """for a budget of each user, team, run or model: which one this is of"""
    window: Window
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    """by calls that are under way"""
    refused: int = 0
    """calls"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """A budget and how far it is used."""

    budget: Budget
    standings: tuple[Standing, ...]
    """one, unless the budget is of each user, team, run or model: then one for each that spent, the most first"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A threshold that a budget has reached."""

    budget: Budget
    subject: Mapping[str, str]
    window: str
    threshold: int
    """percent"""
    spent_usd: float
    limit_usd: float
    at: datetime


def window_of(period: Period, at: datetime) -> Window:
    """The period that a moment is in."""
    at = at.astimezone(UTC)
    hour = at.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    if period is Period.HOUR:
        return Window(key=f"{hour:%Y-%m-%dT%H}", start=hour, end=hour + timedelta(hours=1))
    if period is Period.DAY:
        return Window(key=f"{day:%Y-%m-%d}", start=day, end=day + timedelta(days=1))
    if period is Period.MONTH:
        month = day.replace(day=1)
        return Window(key=f"{month:%Y-%m}", start=month, end=next_month(month))
    return Window(key="total", start=None, end=None)


def next_month(month: datetime) -> datetime:
    """The first day of the month after the one that begins here."""
    return (month + timedelta(days=31)).replace(day=1)

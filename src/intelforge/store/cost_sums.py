"""Sums over the ledger: what calls cost, by name and in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, select

from intelforge.core.cost_report import Dimension, Exactness, Step
from intelforge.core.money import usd_of
from intelforge.store.database import Database
from intelforge.store.tables import CallRow

DAY_HOURS: Final = 24
WEEK_DAYS: Final = 7
MONDAY: Final = 3
"""the epoch was a Thursday: days to the Monday before it"""

COUNTED: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "thinking_tokens")
_STEPS: Final[Mapping[Step, ColumnElement[int]]] = {
    Step.HOUR: CallRow.hour.expression,
    Step.DAY: CallRow.hour // DAY_HOURS,
    Step.WEEK: (CallRow.hour // DAY_HOURS + MONDAY) // WEEK_DAYS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which calls: those reserved within a time, that have these names."""

    since: datetime
    until: datetime
    only: Mapping[Dimension, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Of a group of calls. `step` counts hours, days or weeks since the epoch."""

    names: tuple[str, ...]
    step: int
    calls: int
    failed: int
    tokens: Mapping[str, int]
    charged_nano: int


class CostSums:
    """Adds up calls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, part: Part, *, by: Sequence[Dimension] = (), per: Step | None = None) -> list[Sum]:
        """A sum for each combination of names and step, with DAY for a month: its length is the caller's to know."""
        step = _STEPS[Step.DAY if per is Step.MONTH else per] if per else None
        names = [getattr(CallRow, dimension.value) for dimension in by]
        keys = [*names, *([] if step is None else [step.label("step")])]
        failed = func.sum(case((CallRow.state.in_(["failed", "crashed"]), 1), else_=0))
        tokens = [func.sum(getattr(CallRow, name)) for name in COUNTED]
        sums = [func.count(), failed, func.sum(CallRow.charged_nano), *tokens]
        statement = select(*keys, *sums).where(*_within(part)).group_by(*keys)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [_sum(row, names=len(names), stepped=step is not None) for row in rows if row[len(keys)]]

    async def exactness(self, part: Part) -> Exactness:
        """How well the costs are known."""
        is_open = CallRow.state == "reserved"
        unknown = and_(CallRow.cost_nano.is_(None), CallRow.state != "reserved")
        over = and_(CallRow.cost_nano > CallRow.reserved_nano, CallRow.reserved_nano > 0)
        statement = select(
            _count(is_open),
            _total(is_open, CallRow.reserved_nano.expression),
            _count(and_(unknown, CallRow.charged_nano > 0)),
            _count(and_(unknown, CallRow.charged_nano == 0)),
            _count(over),
            _total(over, CallRow.cost_nano - CallRow.reserved_nano),
        ).where(*_within(part))
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one()
        return Exactness(
            open_calls=row[0],
            reserved_usd=usd_of(int(row[1])),
            estimated=row[2],
            unpriced=row[3],
            overruns=row[4],
            overrun_usd=usd_of(int(row[5])),
        )

    async def first(self, only: Mapping[Dimension, str]) -> datetime | None:
        """When the first of these calls was made."""
        statement = select(func.min(CallRow.at)).where(*_named(only))
        async with self._database.read() as connection:
            return (await connection.execute(statement)).scalar_one()


def _within(part: Part) -> list[ColumnElement[bool]]:
    return [CallRow.at >= part.since, CallRow.at < part.until, *_named(part.only)]


def _named(only: Mapping[Dimension, str]) -> list[ColumnElement[bool]]:
    return [getattr(CallRow, dimension.value) == name for dimension, name in only.items()]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _total(condition: ColumnElement[bool], what: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, what), else_=0)), 0)


def _sum(row: Sequence[Any], *, names: int, stepped: bool) -> Sum:
    calls, failed, charged, *tokens = row[names + stepped :]
    return Sum(
        names=tuple(row[:names]),
        step=int(row[names]) if stepped else 0,
        calls=calls,
        failed=int(failed),
        tokens={name: int(number) for name, number in zip(COUNTED, tokens, strict=True)},
        charged_nano=int(charged),
    )

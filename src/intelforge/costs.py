"""What model calls cost, and what they may cost: reports, forecasts and budgets of one workspace."""

import asyncio
import csv
import functools
import itertools
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from intelforge.core.clock import Clock, utc_now
from intelforge.core.cost_report import CostQuery, CostReport, CostRow, Forecast, Step
from intelforge.core.costs import EACH, Budget, BudgetStatus, Period, Scope, next_month
from intelforge.core.errors import InvalidInputError, StorageError
from intelforge.core.money import MOST_USD, dollars
from intelforge.models.cost_rows import day_costs, parts_of, rows_by_name, rows_by_step, total_row
from intelforge.models.ledger import LONGEST_NAME
from intelforge.models.targets import named
from intelforge.parts import Parts
from intelforge.store.cost_sums import CostSums, Part

DAY: Final = timedelta(days=1)
HISTORY: Final = timedelta(days=56)
"""what forecasts rest on"""
ALERTS_SHOWN: Final = 10
MOST_PERCENT: Final = 1000
FORMULA: Final = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""where a spreadsheet takes what follows for one: at the beginning of a cell, and of what it may take for one"""
_NUMBERS: Final = (
    "calls",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "thinking_tokens",
)


class Costs:
    """The costs and budgets of one workspace."""

    def __init__(self, parts: Parts, *, clock: Clock = utc_now) -> None:
        self._parts = parts
        self._clock = clock

    @functools.cached_property
    def _sums(self) -> CostSums:
        return CostSums(self._parts.database)

    async def report(self, query: CostQuery | None = None) -> CostReport:
        """What calls cost, told apart as the query says, beside the period before. Raises InvalidInputError."""
        query, now = query or CostQuery(), self._clock()
        part, before = parts_of(query, now)
        await self._parts.calls.flush()
        sums = await self._sums.of(part, by=query.by, per=query.per)
        earlier = await self._sums.of(before, by=query.by)
        told_apart = rows_by_name(query, sums, earlier) if query.by else []
        rows = rows_by_step(query, query.per, sums) if query.per else told_apart
        budgets = await self._parts.budgets.statuses()
        forecast, notes = (None, ()) if query.until else await self._forecast(query, now, budgets)
        report = CostReport(
            since=part.since,
            until=part.until,
            before=before.since,
            only={dimension.value: name for dimension, name in query.only.items()},
            total=total_row(sums, before=earlier),
            rows=tuple(rows),
            exactness=await self._sums.exactness(part),
            forecast=forecast,
            budgets=tuple(budgets),
            alerts=tuple(await self._parts.budgets.alerts(since=part.since, limit=ALERTS_SHOWN)),
            notes=notes,
        )
        return _shortened(report, query)

    async def export(self, path: Path, query: CostQuery | None = None) -> CostReport:
        """Writes the rows of a report to a CSV file, all of them; gives the report. Raises StorageError."""
        query = query or CostQuery()
        report = await self.report(replace(query, limit=2**31))
        rows = report.rows if query.by or query.per else (report.total,)
        try:
            await asyncio.to_thread(_write_csv, path, query, rows)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another place") from error
        return _shortened(report, query)

    async def budgets(self) -> list[BudgetStatus]:
        """Every budget with how far it is used in its present period, oldest first."""
        await self._parts.calls.flush()
        return await self._parts.budgets.statuses()

    async def set_budget(self, budget: Budget) -> Budget:
        """Makes a budget, or changes the one of the same scope and period; in force at once, in every process.

        A model is named by its name or its address. Raises InvalidInputError for a limit or thresholds that make no
        sense, ConfigError for a model that no call could be of.
        """
        if not 0 <= budget.limit_usd <= MOST_USD:
            raise InvalidInputError(f"{budget.limit_usd:g} is no limit", hint="give US dollars, for example 5.00")
        if not all(1 <= percent <= MOST_PERCENT for percent in budget.thresholds):
            raise InvalidInputError("thresholds are percent from 1 to 1000", hint="for example 50,80,100")
        if long := [name for _, name in budget.scope.items() if len(name) > LONGEST_NAME]:
            raise InvalidInputError(
                f"{long[0][:40]!r}… is longer than the {LONGEST_NAME} characters of a name", hint="give its beginning"
            )
        await self._parts.calls.flush()
        model = budget.scope.model if budget.scope.model in ("", EACH) else named(budget.scope.model)
        return await self._parts.budgets.set(replace(budget, scope=replace(budget.scope, model=model)))

    async def remove_budget(self, start: str, *, dry_run: bool = False) -> Budget:
        """Removes the budget whose id begins like this. Raises NotFoundError, InvalidInputError."""
        budget = await self._parts.budgets.find(start)
        if not dry_run:
            await self._parts.budgets.remove(budget)
        return budget

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Charges calls of processes that died while the block runs: for a server."""
        with suppress(StorageError):  # whoever works meets the same error
            await self._parts.budgets.forget_old()
        async with self._parts.calls.supervised():
            yield

    async def _forecast(
        self, query: CostQuery, now: datetime, budgets: Sequence[BudgetStatus]
    ) -> tuple[Forecast, tuple[str, ...]]:
        """Of this month, with a note for each budget of the whole workspace that it will go beyond."""
        from intelforge.models.cost_forecast import FEWEST_DAYS, outlook  # numpy is for those who forecast

        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        month = today.replace(day=1)
        began = await self._sums.first(query.only) or now
        first = max(today - HISTORY, began.replace(hour=0, minute=0, second=0, microsecond=0) + DAY)
        sums = await self._sums.of(Part(since=min(first, month), until=now, only=query.only), per=Step.DAY)
        spent = sum(day_costs(sums, first=month, days=today.day))
        days = day_costs(sums, first=first, days=max(0, (today - first).days))
        found = outlook(
            days, weekday=today.weekday(), elapsed=(now - today) / DAY, left=(next_month(month) - today).days - 1
        )
        name = f"{month:%Y-%m}"
        if found is None:
            method = f"no forecast: it needs {FEWEST_DAYS} whole days after the first call, and has {len(days)}"
            return Forecast(month=name, spent_usd=spent, days=len(days), method=method), ()
        forecast = Forecast(
            month=name,
            spent_usd=spent,
            expected_usd=spent + sum(found.expected),
            low_usd=spent + found.low,
            high_usd=spent + found.high,
            days=found.days,
            method=found.method,
        )
        return forecast, () if query.only else _passed(budgets, spent, found.expected, today)


def _shortened(report: CostReport, query: CostQuery) -> CostReport:
    """With as many rows as were asked for: those that cost most, or the last ones in time."""
    rows = report.rows[-query.limit :] if query.per else report.rows[: query.limit]
    return replace(report, rows=rows, left_out=len(report.rows) - len(rows))


def _passed(
    budgets: Sequence[BudgetStatus], spent: float, expected: Sequence[float], today: datetime
) -> tuple[str, ...]:
    """A note for each budget of the workspace per month that is used up before the month ends."""
    notes = []
    for status in budgets:
        budget = status.budget
        if budget.scope != Scope() or budget.period is not Period.MONTH:
            continue
        path = itertools.accumulate(expected, initial=spent)
        day = next((number for number, cost in enumerate(path) if cost > budget.limit_usd), None)
        if day:
            at = today + timedelta(days=day - 1)
            notes.append(
                f"the workspace's budget of {dollars(budget.limit_usd)} per month lasts until about {at:%Y-%m-%d}"
            )
    return tuple(notes)


def _write_csv(path: Path, query: CostQuery, rows: Sequence[CostRow]) -> None:
    names = [dimension.value for dimension in query.by]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["period", *names, *_NUMBERS, "cost_usd", "before_usd"])
        for row in rows:
            before = "" if row.before_usd is None else f"{row.before_usd:.9f}"
            numbers = [getattr(row, name) for name in _NUMBERS]
            writer.writerow(
                [row.period, *(_cell(row.group[name]) for name in names), *numbers, f"{row.cost_usd:.9f}", before]
            )


def _cell(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return FORMULA.sub("'", name)

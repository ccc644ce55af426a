"""The repository of budgets: what may be spent, how far that is used, and the alerts that were raised."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from intelforge.core.clock import Clock, NewId, new_id, utc_now
from intelforge.core.costs import EACH, Alert, Budget, BudgetStatus, Period, Scope, Standing, window_of
from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.core.money import nano_of, usd_of
from intelforge.store.database import Database
from intelforge.store.tables import AlertRow, BudgetRow, CallRow, CounterRow, FactRow

KEPT: Final = timedelta(days=7)
"""how long counters of past periods stay"""
VERSION: Final = "budgets"
"""the fact that changes whenever a budget does: whoever knows the budgets looks at it before each use of them"""


class Budgets:
    """Budgets and how far they are used."""

    def __init__(self, database: Database, *, clock: Clock = utc_now, new_id: NewId = new_id) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def set(self, budget: Budget) -> Budget:
        """Makes a budget, or gives the one of the same scope and period another limit. In force on return.

        What was spent in the present period before it was made counts.
        """
        row = {
            **{name: getattr(budget.scope, name) for name in ("user", "team", "run", "model")},
            "period": budget.period.value,
        }
        changed = {
            "limit_nano": nano_of(budget.limit_usd),
            "hard": budget.hard,
            "thresholds": sorted(set(budget.thresholds)),
        }
        new_id, now = self._new_id(), self._clock()
        statement = self._database.insert(BudgetRow).values(**row, **changed, id=new_id, created_at=now)
        async with self._database.write() as connection:
            await connection.execute(_NEW_VERSION, {"value": self._new_id()})
            before = (await connection.execute(select(BudgetRow).filter_by(**row))).one_or_none()
            await connection.execute(
                statement.on_conflict_do_update(index_elements=[*row], set_=changed),
            )
            found = (await connection.execute(select(BudgetRow).filter_by(**row))).one()
            budget = budget_of(found)
            if before is None:
                await self._count_what_was(connection, budget, now)
            if before and (before.limit_nano, before.thresholds) != (found.limit_nano, found.thresholds):
                untold = update(CounterRow).where(CounterRow.budget_id == budget.id).values(alerted=0)
                await connection.execute(untold)
        return budget

    async def _count_what_was(self, connection: AsyncConnection, budget: Budget, now: datetime) -> None:
        """Makes the counters of a new budget from the calls of the present period.

        The change of version, made before, keeps every process from entering calls until this is committed.
        """
        window = window_of(budget.period, now)
        stars = [getattr(CallRow, name) for name, value in budget.scope.items() if value == EACH]
        named = [getattr(CallRow, name) == value for name, value in budget.scope.items() if value != EACH]
        within = [*named, *(star != "" for star in stars)]
        if window.start and window.end:
            within += [CallRow.at >= window.start, CallRow.at < window.end]
        counters: dict[str, dict[str, int]] = defaultdict(lambda: {"spent_nano": 0, "reserved_nano": 0})
        total = func.coalesce(func.sum(CallRow.charged_nano), 0)
        for row in await connection.execute(select(*stars, total).where(*within).group_by(*stars)):
            counters[subject_text(row[:-1])]["spent_nano"] = int(row[-1])
        opened = select(CallRow.id, CallRow.held, CallRow.reserved_nano, *stars)
        for row in (await connection.execute(opened.where(*within, CallRow.state == "reserved"))).all():
            subject = subject_text(row[3:])
            counters[subject]["reserved_nano"] += row.reserved_nano
            held = [*row.held, [budget.id, subject, window.key]]
            await connection.execute(update(CallRow).where(CallRow.id == row.id).values(held=held))
        if counters:
            same = {"budget_id": budget.id, "window_key": window.key}
            rows = [{**same, "subject": subject, **numbers} for subject, numbers in counters.items()]
            await connection.execute(insert(CounterRow), rows)

    async def find(self, start: str) -> Budget:
        """The budget whose id begins like this. Raises NotFoundError, InvalidInputError."""
        found = [budget for budget in await self.all() if start and budget.id.startswith(start)]
        if not found:
            raise NotFoundError(f"there is no budget {start!r}", hint="see: intelforge budget list")
        if len(found) > 1:
            raise InvalidInputError(f"{len(found)} budgets begin with {start!r}", hint="give more of the id")
        return found[0]

    async def remove(self, budget: Budget) -> None:
        """Forgets a budget with its counters and alerts."""
        async with self._database.write() as connection:
            await connection.execute(_NEW_VERSION, {"value": self._new_id()})
            await connection.execute(delete(BudgetRow).where(BudgetRow.id == budget.id))

    async def forget_old(self) -> int:
        """Forgets counters of periods long gone, of which only the calls themselves tell; gives how many."""
        before = self._clock() - KEPT
        forgotten = 0
        async with self._database.write() as connection:
            for period in (Period.HOUR, Period.DAY, Period.MONTH):
                of_period = select(BudgetRow.id).where(BudgetRow.period == period.value)
                old = CounterRow.window_key < window_of(period, before).key
                idle = CounterRow.reserved_nano == 0
                done = await connection.execute(
                    delete(CounterRow).where(CounterRow.budget_id.in_(of_period), old, idle)
                )
                forgotten += done.rowcount
        return forgotten

    async def all(self) -> list[Budget]:
        """Every budget, oldest first."""
        async with self._database.read() as connection:
            return [budget_of(row) for row in await connection.execute(ALL_BUDGETS)]

    async def statuses(self) -> list[BudgetStatus]:
        """Every budget with how far it is used in its present period."""
        now = self._clock()
        keys = {window_of(period, now).key for period in Period}
        async with self._database.read() as connection:
            budgets = [budget_of(row) for row in await connection.execute(ALL_BUDGETS)]
            rows = (await connection.execute(select(CounterRow).where(CounterRow.window_key.in_(keys)))).all()
        return [
            BudgetStatus(
                budget=budget, standings=_standings(budget, [row for row in rows if row.budget_id == budget.id], now)
            )
            for budget in budgets
        ]

    async def alerts(self, *, since: datetime, limit: int) -> list[Alert]:
        """The alerts raised since then, newest first."""
        statement: Select[Any] = (
            select(AlertRow, BudgetRow.limit_nano.label("limit_now"), *_BUDGET_COLUMNS)
            .join(BudgetRow, BudgetRow.id == AlertRow.budget_id)
            .where(AlertRow.at >= since)
            .order_by(AlertRow.at.desc(), AlertRow.threshold.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [_alert(row) for row in rows]


_NEW_VERSION: Final = update(FactRow).where(FactRow.name == VERSION)
ALL_BUDGETS: Final = select(BudgetRow).order_by(BudgetRow.created_at, BudgetRow.id)
_BUDGET_COLUMNS: Final = tuple(
    getattr(BudgetRow, name) for name in ("user", "team", "run", "model", "period", "hard", "thresholds", "created_at")
)


def budget_of(row: Row[Any]) -> Budget:
    return Budget(
        id=row.id,
        scope=Scope(user=row.user, team=row.team, run=row.run, model=row.model),
        period=Period(row.period),
        limit_usd=usd_of(row.limit_nano),
        hard=row.hard,
        thresholds=tuple(row.thresholds),
        created_at=row.created_at,
    )


def subject_text(names: Sequence[str]) -> str:
    """Whose counter it is, as it is kept."""
    return json.dumps(list(names), ensure_ascii=False) if names else ""


def subject_of(budget: Budget, text: str) -> Mapping[str, str]:
    """Whose counter it is, for a budget of each."""
    names = [name for name, value in budget.scope.items() if value == EACH]
    return dict(zip(names, json.loads(text) if text else (), strict=True))


def _standings(budget: Budget, rows: Sequence[Row[Any]], now: datetime) -> tuple[Standing, ...]:
    window = window_of(budget.period, now)
    standings = [
        Standing(
            subject=subject_of(budget, row.subject),
            window=window,
            spent_usd=usd_of(row.spent_nano),
            reserved_usd=usd_of(row.reserved_nano),
            refused=row.refused,
        )
        for row in rows
        if row.window_key == window.key
    ]
    each = any(value == EACH for _, value in budget.scope.items())
    if not standings and not each:
        standings = [Standing(window=window)]
    return tuple(sorted(standings, key=lambda one: one.spent_usd + one.reserved_usd, reverse=True))


def _alert(row: Row[Any]) -> Alert:
    scope = Scope(user=row.user, team=row.team, run=row.run, model=row.model)
    budget = Budget(
        id=row.budget_id,
        scope=scope,
        period=Period(row.period),
        limit_usd=usd_of(row.limit_now),
        hard=row.hard,
        thresholds=tuple(row.thresholds),
        created_at=row.created_at,
    )
    return Alert(
        budget=budget,
        subject=subject_of(budget, row.subject),
        window=row.window_key,
        threshold=row.threshold,
        spent_usd=usd_of(row.spent_nano),
        limit_usd=usd_of(row.limit_nano),
        at=row.at,
    )

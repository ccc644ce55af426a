"""Whether the counters of budgets say what the calls on record say."""

from typing import Any

from sqlalchemy import Row, select

from intelforge.core.costs import Budget, window_of
from intelforge.core.money import nano_of
from intelforge.store.budgets import ALL_BUDGETS, budget_of, subject_of
from intelforge.store.database import Database
from intelforge.store.tables import CallRow, CounterRow


async def discrepancies(database: Database) -> list[str]:
    """A line for every counter that differs from the calls that fall under it, and for every limit that was exceeded.

    Hard limits only; a call that cost more than was reserved for it exceeds one rightly.
    """
    async with database.read() as connection:
        calls = (await connection.execute(select(CallRow))).all()
        counters = (await connection.execute(select(CounterRow))).all()
        budgets = {row.id: budget_of(row) for row in await connection.execute(ALL_BUDGETS)}
    found = []
    for counter in counters:
        budget = budgets[counter.budget_id]
        falling = [call for call in calls if _falls_under(call, budget, counter)]
        spent = sum(call.charged_nano for call in falling)
        reserved = sum(call.reserved_nano for call in falling if call.state == "reserved")
        what = f"{budget.scope} {counter.subject} {counter.window_key}"
        if (counter.spent_nano, counter.reserved_nano) != (spent, reserved):
            found.append(f"{what}: {counter.spent_nano} and {counter.reserved_nano}, not {spent} and {reserved}")
        if budget.hard and counter.spent_nano + counter.reserved_nano > nano_of(budget.limit_usd):
            found.append(f"{what}: {counter.spent_nano} and {counter.reserved_nano} of {budget.limit_usd}")
    return found


def _falls_under(call: Row[Any], budget: Budget, counter: Row[Any]) -> bool:
    names = {**dict(budget.scope.items()), **subject_of(budget, counter.subject)}
    same = all(getattr(call, name) == value for name, value in names.items())
    return same and window_of(budget.period, call.at).key == counter.window_key

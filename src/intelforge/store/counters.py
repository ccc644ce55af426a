"""The counters of budgets within one transaction: locked, added to in memory, written once.

They are locked in one order, so that processes wait for each other. The UPDATE that takes a reservation holds the limit
in its condition once more.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, tuple_, update

from intelforge.core.costs import Budget, window_of
from intelforge.core.errors import BudgetError, ErrorCode, StorageError
from intelforge.core.money import dollars, nano_of, plain, usd_of
from intelforge.store.budgets import subject_of
from intelforge.store.tables import AlertRow, CounterRow

NO_LIMIT: Final = 2**63 - 1
NAMES: Final = ("budget_id", "subject", "window_key")

Key = tuple[str, str, str]
"""of a counter: budget, subject, window"""


@dataclass(slots=True, kw_only=True)
class Counter:
    """One counter, locked, and what is to be added to it. In nano-dollars."""

    key: Key
    budget: Budget
    spent: int
    reserved: int
    alerted: int
    more: dict[str, int] = field(default_factory=lambda: {"spent": 0, "reserved": 0, "refused": 0})
    taken: bool = False
    """whether a call was let through"""
    alerts: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def limit(self) -> int:
        return nano_of(self.budget.limit_usd)

    def has_room(self, amount: int) -> bool:
        return self.spent + self.reserved + amount <= self.limit

    def take(self, amount: int) -> None:
        """Reserves for a call that goes through."""
        self.taken = True
        self._add(reserved=amount)

    def near(self) -> bool:
        """Whether what is reserved would, once spent, reach a threshold that was not told of."""
        return bool(self._new(self.spent + self.reserved))

    def settle(self, *, reserved: int, spent: int, at: datetime) -> Sequence[str]:
        """Turns a reservation into what was spent. Gives a line for every threshold reached by that."""
        self._add(spent=spent, reserved=-reserved)
        new = self._new(self.spent)
        self.alerted = max([self.alerted, *new])
        key = dict(zip(NAMES, self.key, strict=True))
        seen = {"limit_nano": self.limit, "spent_nano": self.spent, "at": at}
        self.alerts += [{**key, "threshold": percent, **seen} for percent in new]
        spent_usd, limit = dollars(usd_of(self.spent)), dollars(self.budget.limit_usd)
        return [f"the budget of {self.words()} has reached {percent} %: {spent_usd} of {limit}" for percent in new[-1:]]

    def refuse(self, call: Mapping[str, Any], amount: int | None) -> BudgetError:
        """Why a call is not made; `amount` is its reservation, None when its price is not known."""
        self.more["refused"] += 1
        if amount is None:
            return BudgetError(
                f"the price of {call['model']} is not known, so its call may go beyond the budget of {self.words()}",
                hint="give its price in the file of the setting model_facts, or make the budget a warning: "
                + self.budget.command(plain(self.budget.limit_usd))
                + " --warn",
            )
        end = window_of(self.budget.period, call["at"]).end
        until = f"; it begins anew at {end:%Y-%m-%d %H:%M} UTC" if end else ""
        spent, reserved, wanted = (dollars(usd_of(nano)) for nano in (self.spent, self.reserved, amount))
        enough = max(2 * self.limit, self.spent + self.reserved + amount)
        return BudgetError(
            f"the call of {call['model']} may cost {wanted}, and the budget of {self.words()} has no room for it: "
            f"{spent} spent and {reserved} reserved of {dollars(self.budget.limit_usd)}{until}",
            hint=f"raise it: {self.budget.command(plain(usd_of(enough)))}",
        )

    def words(self) -> str:
        """`user ann per day`."""
        subject = subject_of(self.budget, self.key[1])
        names = [(name, subject.get(name, value)) for name, value in self.budget.scope.items()]
        whom = ", ".join(f"{name} {value}" for name, value in names) or "the workspace"
        return f"{whom} in total" if self.key[2] == "total" else f"{whom} per {self.budget.period}"

    def _new(self, amount: int) -> Sequence[int]:
        """The thresholds that this amount reaches and that were not told of yet."""
        percents = (percent for percent in self.budget.thresholds if percent > self.alerted)
        return [percent for percent in percents if amount * 100 >= percent * self.limit > 0]

    def _add(self, *, spent: int = 0, reserved: int = 0) -> None:
        self.spent += spent
        self.reserved += reserved
        self.more["spent"] += spent
        self.more["reserved"] += reserved


class Counters:
    """Locks and writes counters."""

    def __init__(self, insert: Callable[[Any], Any]) -> None:
        self._make = insert(CounterRow).on_conflict_do_nothing()
        self._alert = insert(AlertRow).on_conflict_do_nothing()

    def lock(
        self, connection: Connection, keys: Collection[Key], wanted: Collection[Key], budgets: Mapping[str, Budget]
    ) -> dict[Key, Counter]:
        """Those counters, which no other can change until the transaction ends. Those wanted are made if need be."""
        found = _lock(connection, keys, budgets)
        if missing := sorted(set(wanted) - found.keys()):
            zero = {"spent_nano": 0, "reserved_nano": 0, "refused": 0, "alerted": 0}
            connection.execute(self._make, [{**dict(zip(NAMES, key, strict=True)), **zero} for key in missing])
            found = _lock(connection, keys, budgets)
        return found

    def write(self, connection: Connection, counters: Iterable[Counter]) -> None:
        """Writes what was added, and the alerts."""
        changed = [counter for counter in counters if any(counter.more.values()) or counter.alerts]
        if changed:
            done = connection.execute(_ADD, [_addition(counter) for counter in changed])
            if done.rowcount != len(changed):
                raise StorageError("a budget changed while its counter was locked", code=ErrorCode.INTERNAL)
        if alerts := [alert for counter in changed for alert in counter.alerts]:
            connection.execute(self._alert, alerts)


_KEY: Final = (CounterRow.budget_id, CounterRow.subject, CounterRow.window_key)
_LOCK: Final = (
    select(CounterRow).where(tuple_(*_KEY).in_(bindparam("keys", expanding=True))).order_by(*_KEY).with_for_update()
)
_ADD: Final = (
    update(CounterRow)
    .where(
        CounterRow.budget_id == bindparam("key_budget"),
        CounterRow.subject == bindparam("key_subject"),
        CounterRow.window_key == bindparam("key_window"),
        CounterRow.spent_nano + CounterRow.reserved_nano + bindparam("growth") <= bindparam("limit"),
    )
    .values(
        spent_nano=CounterRow.spent_nano + bindparam("spent"),
        reserved_nano=CounterRow.reserved_nano + bindparam("reserved"),
        refused=CounterRow.refused + bindparam("more_refused"),
        alerted=bindparam("highest"),
    )
)


def _lock(connection: Connection, keys: Collection[Key], budgets: Mapping[str, Budget]) -> dict[Key, Counter]:
    rows = connection.execute(_LOCK, {"keys": sorted(keys)}) if keys else ()
    return {
        (row.budget_id, row.subject, row.window_key): Counter(
            key=(row.budget_id, row.subject, row.window_key),
            budget=budgets[row.budget_id],
            spent=row.spent_nano,
            reserved=row.reserved_nano,
            alerted=row.alerted,
        )
        for row in rows
    }


def _addition(counter: Counter) -> Mapping[str, Any]:
    budget, subject, window = counter.key
    spent, reserved = counter.more["spent"], counter.more["reserved"]
    return {
        "key_budget": budget,
        "key_subject": subject,
        "key_window": window,
        "spent": spent,
        "reserved": reserved,
        "more_refused": counter.more["refused"],
        "highest": counter.alerted,
        "growth": spent + reserved,
        "limit": counter.limit if counter.taken and counter.budget.hard else NO_LIMIT,
    }

"""What a batch of entries in the ledger does to calls and budgets, in one transaction.

A call goes through when, for every hard budget that it falls under, spent + reserved + its own reservation stays within
the limit. What it is charged in the end takes the place of its reservation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from intelforge.core.costs import EACH, Budget, window_of
from intelforge.core.errors import BudgetError
from intelforge.core.money import dollars
from intelforge.store.budgets import ALL_BUDGETS, VERSION, budget_of, subject_text
from intelforge.store.counters import Counter, Counters, Key
from intelforge.store.entries import Closing, Entered, Entry, Opening, Outcome, Whole
from intelforge.store.tables import CallRow, FactRow

SCOPE: Final = ("user", "team", "run", "model")


class Book:
    """Enters batches. Not for more than one thread at a time."""

    def __init__(self, insert_row: Callable[[Any], Any]) -> None:
        self._counters = Counters(insert_row)
        self._version: str | None = None
        self._budgets: Mapping[str, Budget] = {}
        self._by_scope: Mapping[tuple[str, ...], Sequence[Budget]] = {}
        self._shapes: Sequence[tuple[str, ...]] = ()

    def commit(self, connection: Connection, entries: Sequence[Entry]) -> list[Outcome]:
        """Enters a batch and gives the outcome of each. What is closed comes first: it may make room."""
        if any(not isinstance(entry, Whole) for entry in entries):
            self._learn(connection)
        closings = {number: entry for number, entry in enumerate(entries) if isinstance(entry, Closing)}
        by_its_own_first = sorted(closings.items(), key=lambda pair: pair[1].crashed)
        openings = {number: entry for number, entry in enumerate(entries) if isinstance(entry, Opening)}
        calls = _lock_calls(connection, list(closings.values()))
        falling = {number: self._falls_under(opening.row) for number, opening in openings.items()}
        counters = self._lock_counters(connection, calls, falling)
        outcomes: list[Outcome] = [Entered()] * len(entries)
        rows = [entry.row for entry in entries if isinstance(entry, Whole)]
        closed = []
        for number, closing in by_its_own_first:
            if call := calls.pop(closing.id, None):  # only once
                charged, notes = _close(call, closing, counters)
                outcomes[number] = Entered(notes=notes)
                closed.append({"key_id": closing.id, **closing.row, "cost_nano": closing.cost, "charged_nano": charged})
        for number, opening in openings.items():
            keys = falling[number]
            outcomes[number] = _open(opening, [counters[key] for key in keys])
            if not isinstance(outcomes[number], BudgetError):
                rows.append({**opening.row, "held": [list(key) for key in keys]})
        if closed:
            connection.execute(_CLOSE, closed)
        self._counters.write(connection, counters.values())
        if rows:
            connection.execute(_INSERT, rows)
        return outcomes

    def _learn(self, connection: Connection) -> None:
        """Knows the budgets as they are. The lock keeps them so until the transaction ends."""
        version: str = connection.execute(_LOCK_VERSION).scalar_one()
        if version == self._version:
            return
        found = [budget_of(row) for row in connection.execute(ALL_BUDGETS)]
        by_scope: dict[tuple[str, ...], list[Budget]] = {}
        for budget in found:
            by_scope.setdefault(tuple(getattr(budget.scope, name) for name in SCOPE), []).append(budget)
        self._budgets = {budget.id: budget for budget in found}
        self._by_scope = by_scope
        self._shapes = sorted({tuple(name if name in ("", EACH) else "name" for name in scope) for scope in by_scope})
        self._version = version

    def _falls_under(self, call: Mapping[str, Any]) -> Sequence[Key]:
        """The counters of a call."""
        names = [call[name] for name in SCOPE]
        found: list[Key] = []
        for shape in self._shapes:
            pairs = list(zip(shape, names, strict=True))
            if any((kind and not name) or (kind == "name" and name == EACH) for kind, name in pairs):
                continue  # nobody in particular, or one who is called as `each` is written
            scope = tuple(name if kind == "name" else kind for kind, name in pairs)
            subject = subject_text([name for kind, name in pairs if kind == EACH])
            budgets = self._by_scope.get(scope, ())
            found.extend((budget.id, subject, window_of(budget.period, call["at"]).key) for budget in budgets)
        return found

    def _lock_counters(
        self, connection: Connection, calls: Mapping[str, Any], falling: Mapping[int, Sequence[Key]]
    ) -> dict[Key, Counter]:
        wanted = {key for keys in falling.values() for key in keys}
        held: set[Key] = {(budget, subject, window) for call in calls.values() for budget, subject, window in call.held}
        known = {key for key in wanted | held if key[0] in self._budgets}
        return self._counters.lock(connection, known, wanted, self._budgets)


_INSERT: Final = insert(CallRow)
_LOCK_VERSION: Final = select(FactRow.value).where(FactRow.name == VERSION).with_for_update(read=True)
_LOCK_CALLS: Final = (
    select(CallRow.id, CallRow.state, CallRow.held, CallRow.reserved_nano, CallRow.charged_nano)
    .where(CallRow.id.in_(bindparam("ids", expanding=True)), CallRow.state.in_(["reserved", "crashed"]))
    .order_by(CallRow.id)
    .with_for_update()
)
CLOSED: Final = (
    "state",
    "cost_nano",
    "charged_nano",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "thinking_tokens",
    "seconds",
    "first_token_seconds",
    "error",
)
"""the columns that closing a call fills in"""
_CLOSE: Final = (
    update(CallRow).where(CallRow.id == bindparam("key_id")).values({name: bindparam(name) for name in CLOSED})
)


def _lock_calls(connection: Connection, closings: Sequence[Closing]) -> dict[str, Any]:
    """The calls that can be closed still. One that was taken for crashed can, by the process that made it."""
    if not closings:
        return {}
    by_itself = {closing.id for closing in closings if not closing.crashed}
    rows = connection.execute(_LOCK_CALLS, {"ids": [closing.id for closing in closings]})
    return {row.id: row for row in rows if row.state == "reserved" or row.id in by_itself}


def _close(call: Any, closing: Closing, counters: Mapping[Key, Counter]) -> tuple[int, Sequence[str]]:
    """What the call is charged, and what its caller should know."""
    charged: int = call.reserved_nano if closing.cost is None else closing.cost
    reserved, before = (call.reserved_nano, 0) if call.state == "reserved" else (0, call.charged_nano)
    notes: list[str] = []
    for budget, subject, window in call.held:
        if counter := counters.get((budget, subject, window)):
            notes += counter.settle(reserved=reserved, spent=charged - before, at=closing.at)
    return charged, notes


def _open(opening: Opening, counters: Sequence[Counter]) -> Outcome:
    amount: int = opening.row["reserved_nano"]
    for counter in counters:
        if counter.budget.hard and not (opening.priced and counter.has_room(amount)):
            return counter.refuse(opening.row, amount if opening.priced else None)
    notes = [
        f"the budget of {counter.words()} may be exceeded: its {dollars(counter.budget.limit_usd)} are a warning"
        for counter in counters
        if not counter.has_room(amount)
    ]
    for counter in counters:
        counter.take(amount)
    return Entered(notes=notes, near=any(counter.near() for counter in counters))

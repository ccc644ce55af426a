"""Batches of entries, held against a plain model of what they should do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, select
from sqlalchemy.dialects.sqlite import insert

from intelforge.core.costs import EACH
from intelforge.core.errors import BudgetError
from intelforge.store.budgets import VERSION
from intelforge.store.entries import Closing, Entry, Opening, Outcome
from intelforge.store.reservations import Book
from intelforge.store.tables import AlertRow, BudgetRow, CallRow, CounterRow, FactRow, Table

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
ROWS = (AlertRow, BudgetRow, CallRow, CounterRow, FactRow)
USERS, MODELS = ("ann", "bob", ""), ("openai:m", "groq:n")
BUDGETS: tuple[dict[str, Any], ...] = (
    {"user": "", "model": "", "limit_nano": 60, "hard": True},
    {"user": EACH, "model": "", "limit_nano": 30, "hard": True},
    {"user": "ann", "model": "groq:n", "limit_nano": 10, "hard": True},
    {"user": "", "model": EACH, "limit_nano": 20, "hard": False},
)

opened = st.tuples(st.just("open"), st.sampled_from(USERS), st.sampled_from(MODELS), st.integers(0, 12), st.booleans())
closed = st.tuples(
    st.sampled_from(["close", "crash"]), st.integers(0, 9), st.none() | st.integers(0, 12), st.none(), st.none()
)
batches = st.lists(st.lists(opened | opened | closed, max_size=8), max_size=8)


@dataclass
class Call:
    user: str
    model: str
    amount: int
    charged: int | None = None
    crashed: bool = False

    @property
    def taken(self) -> int:
        return self.amount if self.charged is None else self.charged


@dataclass
class Model:
    """Every call that was let through, by its id."""

    calls: dict[str, Call] = field(default_factory=dict)

    def has_room(self, call: Call, priced: bool) -> bool:
        return all(
            priced and self._total(budget, call) + call.amount <= budget["limit_nano"]
            for budget in BUDGETS
            if budget["hard"] and _applies(budget, call)
        )

    def close(self, call: Call, cost: int | None, *, crash: bool) -> None:
        if call.charged is None or (call.crashed and not crash):
            call.charged = call.amount if cost is None or crash else cost
            call.crashed = crash

    def _total(self, budget: dict[str, Any], call: Call) -> int:
        return sum(one.taken for one in self.calls.values() if _applies(budget, one) and _together(budget, one, call))


def _applies(budget: dict[str, Any], call: Call) -> bool:
    pairs = ((budget["user"], call.user), (budget["model"], call.model))
    return all(not name or (value if name == EACH else name == value) for name, value in pairs)


def _together(budget: dict[str, Any], one: Call, other: Call) -> bool:
    """Whether both count towards the same: for a budget of each, only those of one name do."""
    user = budget["user"] != EACH or one.user == other.user
    return user and (budget["model"] != EACH or one.model == other.model)


@contextmanager
def connected() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        tables = [Table.metadata.tables[row.__tablename__] for row in ROWS]
        Table.metadata.create_all(connection, tables)
        connection.execute(insert(FactRow).values(name=VERSION, value=""))
        for number, budget in enumerate(BUDGETS):
            rest = {"id": f"b{number}", "team": "", "run": "", "period": "day", "created_at": AT}
            connection.execute(insert(BudgetRow).values(**budget, **rest, thresholds=[50, 100]))
        yield connection
    engine.dispose()


def opening(name: str, call: Call, *, priced: bool) -> Opening:
    row = {
        "id": name,
        "user": call.user,
        "model": call.model,
        "reserved_nano": call.amount,
        "at": AT,
        "kind": "chat",
        "provider": "p",
        "purpose": "",
        "team": "",
        "run": "",
        "state": "reserved",
        "owner": "",
        "cost_nano": None,
        "charged_nano": 0,
        "hour": 0,
    }
    return Opening(row=row, priced=priced)


def closing(name: str, cost: int | None, *, crash: bool) -> Closing:
    if crash:
        return Closing.of_crashed(name, at=AT)
    zero = Closing.of_never_made(name, at=AT)
    return Closing(id=name, at=AT, cost=cost, row={**zero.row, "state": "settled", "error": ""})


def expected(model: Model, batch: list[Any], names: Iterator[str]) -> tuple[list[Entry], list[bool]]:
    """The entries of a batch and whether each is let through, as the model has it: closings first."""
    entries: list[Entry] = []
    for what, first, second, third, fourth in batch:
        if what == "open":
            entries.append(opening(next(names), Call(first, second, third), priced=fourth))
        else:
            entries.append(closing(f"c{first}", second, crash=what == "crash"))
    for entry in entries:
        if isinstance(entry, Closing) and entry.id in model.calls:
            model.close(model.calls[entry.id], entry.cost, crash=entry.crashed)
    let_through = []
    for entry in entries:
        allowed = True
        if isinstance(entry, Opening):
            call = Call(entry.row["user"], entry.row["model"], entry.row["reserved_nano"])
            allowed = model.has_room(call, entry.priced)
            if allowed:
                model.calls[entry.row["id"]] = call
        let_through.append(allowed)
    return entries, let_through


TOLD_BOTH_WAYS = [("crash", 0, None, None, None), ("close", 0, 1, None, None)]


@settings(deadline=None, max_examples=40)
@given(batches)
@example([[("open", "ann", "openai:m", 0, True)], TOLD_BOTH_WAYS[:1], TOLD_BOTH_WAYS])
def test_batches_do_what_a_plain_model_does(batches: list[list[Any]]) -> None:
    model, names = Model(), (f"c{number}" for number in range(1000))
    with connected() as connection:
        book = Book(insert)
        for batch in batches:
            entries, let_through = expected(model, batch, names)
            outcomes: list[Outcome] = book.commit(connection, entries)
            assert [not isinstance(outcome, BudgetError) for outcome in outcomes] == let_through
        rows = {row.id: row for row in connection.execute(select(CallRow))}
        assert {name: (row.state == "reserved", row.charged_nano) for name, row in rows.items()} == {
            name: (call.charged is None, call.charged or 0) for name, call in model.calls.items()
        }
        for counter in connection.execute(select(CounterRow)):
            mine = [
                row for row in rows.values() if [counter.budget_id, counter.subject, counter.window_key] in row.held
            ]
            assert counter.spent_nano == sum(row.charged_nano for row in mine)
            assert counter.reserved_nano == sum(row.reserved_nano for row in mine if row.state == "reserved")
        alerts = connection.execute(select(AlertRow)).all()
        assert all(alert.spent_nano * 100 >= alert.threshold * alert.limit_nano for alert in alerts)

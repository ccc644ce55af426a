"""Budgets: what falls under them, what they refuse, and what they tell."""

import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from intelforge.core.chat import Accounting
from intelforge.core.clock import new_id
from intelforge.core.costs import EACH, Budget, Period, Scope
from intelforge.core.errors import BudgetError, ErrorCode, InvalidInputError, NotFoundError
from intelforge.models.ledger import Ledger
from intelforge.store.budgets import Budgets
from intelforge.store.calls import Calls
from intelforge.store.database import Database
from intelforge.testing.ledger import discrepancies


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


AT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


class Book:
    """A ledger and budgets under one clock."""

    def __init__(self, database: Database) -> None:
        self.now = AT
        self.calls = Calls(database, owner="host:1:1:a", clock=lambda: self.now)
        ids = itertools.count(10)
        self.budgets = Budgets(database, clock=lambda: self.now, new_id=lambda: f"{next(ids)}-{new_id()}")
        self.ledger = Ledger(self.calls, clock=lambda: self.now)

    async def spend(
        self, cost: float | None, model: str = "openai:m", *, reserve: float | None = 0.1, **accounting: str
    ) -> Sequence[str]:
        """One call; gives its notes."""
        whom = Accounting(**accounting)
        async with self.ledger.call(model, accounting=whom, reserve_usd=reserve) as usage:
            usage.input_tokens, usage.cost_usd = 1, cost
        return usage.notes

    async def standings(self) -> list[list[tuple[dict[str, str], float, float, int]]]:
        await self.calls.flush()
        return [
            [(dict(one.subject), one.spent_usd, one.reserved_usd, one.refused) for one in status.standings]
            for status in await self.budgets.statuses()
        ]


@pytest.fixture
async def book(database: Database) -> AsyncIterator[Book]:
    made = Book(database)
    yield made
    await made.calls.close()
    assert await discrepancies(database) == []


def budget(limit: float, period: Period = Period.DAY, *, hard: bool = True, **scope: str) -> Budget:
    return Budget(scope=Scope(**scope), period=period, limit_usd=limit, hard=hard)


async def test_a_refusal_names_budget_limit_spent_reserved_end_and_the_way_out(book: Book) -> None:
    await book.budgets.set(budget(0.25, user="ann"))
    await book.spend(0.05, user="ann")
    async with book.ledger.call("openai:m", accounting=Accounting(user="ann"), reserve_usd=0.125):
        with pytest.raises(BudgetError) as refused:
            await book.spend(0.1, user="ann")
    assert refused.value.message == (
        "the call of openai:m may cost $0.10, and the budget of user ann per day has no room for it: "
        "$0.05 spent and $0.12 reserved of $0.25; it begins anew at 2026-05-05 00:00 UTC"
    )
    assert refused.value.hint == "raise it: intelforge budget set --per day --user ann 0.50"
    assert (refused.value.error_code, refused.value.http_status) == (ErrorCode.OVER_BUDGET, 402)
    assert not refused.value.retryable
    assert await book.standings() == [[({}, 0.175, 0.0, 1)]]


@pytest.mark.parametrize(
    ("scope", "counted"),
    [
        ({}, 4),
        ({"user": "ann"}, 2),
        ({"team": "sales"}, 2),
        ({"run": "r1"}, 1),
        ({"model": "openai:m"}, 3),
        ({"user": "ann", "model": "openai:m"}, 1),
    ],
)
async def test_a_budget_counts_the_calls_that_agree_in_all_that_it_names(
    book: Book, scope: dict[str, Any], counted: int
) -> None:
    await book.budgets.set(Budget(scope=Scope(**scope), period=Period.DAY, limit_usd=1.0))
    await book.spend(0.0625, user="ann", team="sales", run="r1")
    await book.spend(0.0625, "groq:n", user="ann")
    await book.spend(0.0625, user="bob", team="sales")
    await book.spend(0.0625)
    assert await book.standings() == [[({}, 0.0625 * counted, 0.0, 0)]]


async def test_a_call_goes_through_only_when_every_budget_has_room(book: Book) -> None:
    await book.budgets.set(budget(10.0))
    await book.budgets.set(budget(0.1, user="ann"))
    await book.budgets.set(budget(10.0, Period.HOUR, model="openai:m"))
    await book.spend(0.0625, user="ann")
    with pytest.raises(BudgetError, match="user ann"):
        await book.spend(0.0625, user="ann")
    await book.spend(0.0625, user="bob")
    assert await book.standings() == [[({}, 0.125, 0.0, 0)], [({}, 0.0625, 0.0, 1)], [({}, 0.125, 0.0, 0)]]


async def test_a_budget_of_each_counts_each_alone_and_nobody_not_at_all(book: Book) -> None:
    await book.budgets.set(budget(0.1, user=EACH))
    await book.budgets.set(budget(1.0, Period.MONTH, user=EACH, model=EACH))
    await book.spend(0.0625, user="ann")
    await book.spend(0.03125, "groq:n", user="bob")
    await book.spend(0.5, reserve=0.5)
    with pytest.raises(BudgetError, match="budget of user ann per day"):
        await book.spend(0.0625, user="ann")
    assert await book.standings() == [
        [({"user": "ann"}, 0.0625, 0.0, 1), ({"user": "bob"}, 0.03125, 0.0, 0)],
        [
            ({"user": "ann", "model": "openai:m"}, 0.0625, 0.0, 0),
            ({"user": "bob", "model": "groq:n"}, 0.03125, 0.0, 0),
        ],
    ]


@pytest.mark.parametrize(
    ("period", "later"),
    [
        (Period.HOUR, timedelta(minutes=30)),
        (Period.DAY, timedelta(hours=11.5)),
        (Period.MONTH, timedelta(days=27.5 - 1 / 48)),
    ],
)
async def test_a_budget_begins_anew_with_its_period(book: Book, period: Period, later: timedelta) -> None:
    await book.budgets.set(budget(0.1, period))
    await book.spend(0.1)
    book.now += later - timedelta(seconds=1)
    with pytest.raises(BudgetError):
        await book.spend(0.1)
    book.now += timedelta(seconds=1)
    await book.spend(0.1)
    assert await book.standings() == [[({}, 0.1, 0.0, 0)]]


async def test_a_total_never_begins_anew(book: Book) -> None:
    await book.budgets.set(budget(0.1, Period.TOTAL, run=EACH))
    await book.spend(0.1, run="r1")
    book.now += timedelta(days=400)
    with pytest.raises(BudgetError, match="run r1 in total") as refused:
        await book.spend(0.1, run="r1")
    assert "begins anew" not in refused.value.message
    await book.spend(0.1, run="r2")


async def test_a_call_is_counted_in_the_period_it_began_in(book: Book) -> None:
    await book.budgets.set(budget(1.0, Period.HOUR))
    async with book.ledger.call("openai:m", accounting=Accounting(), reserve_usd=0.5) as usage:
        book.now += timedelta(hours=1)
        usage.cost_usd = 0.25
    assert await book.standings() == [[({}, 0.0, 0.0, 0)]]
    book.now -= timedelta(hours=1)
    assert await book.standings() == [[({}, 0.25, 0.0, 0)]]


async def test_what_was_spent_before_a_budget_was_made_counts(book: Book) -> None:
    book.now -= timedelta(days=1)
    await book.spend(0.5, user="bob", reserve=0.5)
    book.now += timedelta(days=1)
    await book.spend(0.0625, user="ann")
    async with book.ledger.call("openai:m", accounting=Accounting(user="ann"), reserve_usd=0.5) as usage:
        usage.cost_usd = 0.125
        for period in (Period.DAY, Period.TOTAL):
            await book.budgets.set(budget(1.0, period, user=EACH))
        await book.budgets.set(budget(0.6))
        assert (await book.standings())[2] == [({}, 0.0625, 0.5, 0)]
        with pytest.raises(BudgetError):
            await book.spend(0.0625)
    assert await book.standings() == [
        [({"user": "ann"}, 0.1875, 0.0, 0)],
        [({"user": "bob"}, 0.5, 0.0, 0), ({"user": "ann"}, 0.1875, 0.0, 0)],
        [({}, 0.1875, 0.0, 1)],
    ]


async def test_a_budget_that_is_set_again_has_another_limit_at_once_everywhere(book: Book, database: Database) -> None:
    first = await book.budgets.set(budget(0.1, user="ann"))
    await book.spend(0.1, user="ann")
    with pytest.raises(BudgetError):
        await book.spend(0.1, user="ann")
    raised = await Budgets(database, clock=lambda: AT).set(budget(0.2, user="ann"))
    assert (raised.id, raised.limit_usd, raised.created_at) == (first.id, 0.2, AT)
    await book.spend(0.1, user="ann")
    assert await book.standings() == [[({}, 0.2, 0.0, 1)]]


async def test_a_budget_that_is_removed_holds_nothing_any_more(book: Book) -> None:
    made = await book.budgets.set(budget(0.1))
    async with book.ledger.call("openai:m", accounting=Accounting(), reserve_usd=0.1) as usage:
        usage.cost_usd = 0.1
        await book.budgets.remove(made)
    await book.spend(0.1)
    assert await book.standings() == []


async def test_a_warning_lets_through_and_tells(book: Book) -> None:
    await book.budgets.set(budget(0.15, hard=False))
    assert await book.spend(0.0625) == []
    notes = await book.spend(0.0625)
    assert notes == [
        "the budget of the workspace per day may be exceeded: its $0.15 are a warning",
        "the budget of the workspace per day has reached 80 %: $0.12 of $0.15",
    ]


async def test_a_call_whose_price_is_not_known_is_refused_by_a_hard_budget_only(book: Book) -> None:
    await book.spend(None, reserve=None)
    await book.budgets.set(budget(1.0, hard=False, user="ann"))
    await book.spend(None, reserve=None, user="ann")
    await book.budgets.set(budget(1.0, user="ann"))
    with pytest.raises(BudgetError, match="price of openai:m is not known") as refused:
        await book.spend(None, reserve=None, user="ann")
    assert refused.value.hint.endswith("intelforge budget set --per day --user ann 1.00 --warn")


async def test_a_local_call_falls_under_no_budget(book: Book) -> None:
    await book.budgets.set(budget(0.0))
    async with book.ledger.call("ollama:m", accounting=Accounting(), reserve_usd=None, local=True):
        pass
    with pytest.raises(BudgetError):
        await book.spend(0.1)


async def test_an_overrun_is_counted_in_full_and_stops_what_follows(book: Book, database: Database) -> None:
    made = await book.budgets.set(budget(0.5))
    notes = await book.spend(0.75, reserve=0.25)
    assert "more than the $0.25 that were reserved" in notes[0]
    with pytest.raises(BudgetError, match=r"\$0.75 spent and \$0.00 reserved of \$0.50"):
        await book.spend(0.1)
    await book.budgets.remove(made)


async def test_each_threshold_is_told_of_once_in_a_period(book: Book) -> None:
    await book.budgets.set(budget(1.0))
    told = [await book.spend(0.1) for _ in range(10)]
    assert [number for number, notes in enumerate(told, 1) if notes] == [5, 8, 10]
    book.now += timedelta(days=1)
    assert [bool(await book.spend(0.3, reserve=0.3)) for _ in range(2)] == [False, True]
    alerts = await book.budgets.alerts(since=AT - timedelta(days=1), limit=9)
    assert [(alert.window, alert.threshold, alert.spent_usd, alert.limit_usd) for alert in alerts] == [
        ("2026-05-05", 50, 0.6, 1.0),
        ("2026-05-04", 100, 1.0, 1.0),
        ("2026-05-04", 80, 0.8, 1.0),
        ("2026-05-04", 50, 0.5, 1.0),
    ]
    assert len(await book.budgets.alerts(since=AT + timedelta(hours=1), limit=9)) == 1
    assert len(await book.budgets.alerts(since=AT, limit=2)) == 2


async def test_several_thresholds_at_one_stroke_are_all_on_record_and_the_highest_is_told(book: Book) -> None:
    await book.budgets.set(budget(1.0, user=EACH))
    notes = await book.spend(0.9, reserve=0.9, user="ann")
    assert notes == ["the budget of user ann per day has reached 80 %: $0.90 of $1.00"]
    alerts = await book.budgets.alerts(since=AT, limit=9)
    assert [(alert.threshold, alert.subject) for alert in alerts] == [(80, {"user": "ann"}), (50, {"user": "ann"})]


async def test_another_limit_is_another_threshold(book: Book) -> None:
    await book.budgets.set(budget(0.1))
    await book.spend(0.0625)
    await book.budgets.set(budget(0.2))
    assert await book.spend(0.0625) == ["the budget of the workspace per day has reached 50 %: $0.12 of $0.20"]


async def test_a_budget_that_is_set_as_it_was_tells_nothing_again(book: Book) -> None:
    for notes in (["the budget of the workspace per day has reached 50 %: $0.51 of $1.00"], []):
        await book.budgets.set(budget(1.0))
        assert await book.spend(0.51 if notes else 0.01, reserve=0.6 if notes else 0.1) == notes


async def test_counters_of_periods_long_gone_are_forgotten_but_not_those_that_hold_something(book: Book) -> None:
    for period in Period:
        await book.budgets.set(budget(1.0, period))
    async with book.ledger.call("openai:m", accounting=Accounting(), reserve_usd=0.125) as usage:
        usage.cost_usd = 0.125
        book.now += timedelta(days=8)
        await book.spend(0.125)
        assert await book.budgets.forget_old() == 0
    await book.calls.flush()
    assert await book.budgets.forget_old() == 2
    assert [one[0][1] for one in await book.standings()] == [0.125, 0.125, 0.25, 0.25]


async def test_a_budget_is_found_by_the_beginning_of_its_id(book: Book) -> None:
    made = await book.budgets.set(budget(1.0))
    assert await book.budgets.find(made.id[:4]) == made
    for start in ("", "no such"):
        with pytest.raises(NotFoundError):
            await book.budgets.find(start)
    for name in range(20):
        await book.budgets.set(budget(1.0, user=f"u{name}"))
    starts = [one.id[:1] for one in await book.budgets.all()]
    shared = next(start for start in starts if starts.count(start) > 1)
    with pytest.raises(InvalidInputError, match="budgets begin with"):
        await book.budgets.find(shared)


async def test_who_is_called_by_the_star_that_means_each_is_counted_alone(book: Book) -> None:
    await book.budgets.set(budget(1.0, user="ann"))
    await book.spend(0.125, user=EACH)
    await book.budgets.set(budget(1.0, user=EACH))
    await book.spend(0.25, user=EACH)
    await book.spend(0.25, user="bob")
    named, each = await book.standings()
    assert [spent for _, spent, _, _ in named] in ([], [0.0])
    assert [(subject, spent) for subject, spent, _, _ in each] == [({"user": EACH}, 0.375), ({"user": "bob"}, 0.25)]
    with pytest.raises(BudgetError):
        await book.spend(0.7, reserve=0.7, user=EACH)


async def test_a_call_of_a_period_to_come_does_not_count_in_a_budget_made_before_it(book: Book) -> None:
    book.now += timedelta(days=1)
    await book.spend(0.25)
    book.now -= timedelta(days=1)
    await book.budgets.set(budget(1.0))
    assert await book.standings() == [[({}, 0.0, 0.0, 0)]]

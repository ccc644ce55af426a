"""Every call is reserved before and settled after."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.core.chat import Accounting, Tokens
from intelforge.core.errors import BudgetError, ErrorCode, IntelForgeError, ModelError
from intelforge.models.ledger import CallState, Ledger, MemoryLedgerStore, ModelCall

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANSWER = Accounting(purpose="answer")


def ledger(store: MemoryLedgerStore) -> Ledger:
    ticks = iter(float(tick) for tick in range(100))
    ids = iter(f"call-{number}" for number in range(100))
    return Ledger(store, clock=lambda: NOW, new_id=lambda: next(ids), timer=lambda: next(ticks))


async def test_a_call_is_on_record_while_it_runs_and_settled_after() -> None:
    store = MemoryLedgerStore()
    async with ledger(store).call("openai:m", accounting=ANSWER, reserve_usd=0.5) as usage:
        (open_call,) = store.calls
        usage.input_tokens, usage.output_tokens, usage.cost_usd = 7, 3, 0.25
    assert open_call == ModelCall(
        id="call-0", model="openai:m", purpose="answer", state=CallState.RESERVED, at=NOW, reserved_usd=0.5
    )
    (settled,) = store.calls
    assert (settled.state, settled.cost_usd, settled.input_tokens, settled.output_tokens, settled.seconds) == (
        CallState.SETTLED,
        0.25,
        7,
        3,
        1.0,
    )
    assert settled.at == NOW


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ModelError("slow", code=ErrorCode.TIMED_OUT), "timed_out"),
        (ValueError("odd"), "internal"),
        (asyncio.CancelledError(), "interrupted"),
    ],
)
async def test_a_call_that_raises_is_failed_and_keeps_what_it_cost(failure: BaseException, code: str) -> None:
    store = MemoryLedgerStore()

    async def fail() -> None:
        async with ledger(store).call("openai:m", accounting=ANSWER, reserve_usd=0.0) as usage:
            usage.cost_usd = 0.1
            raise failure

    with pytest.raises(type(failure)):
        await fail()
    (call,) = store.calls
    assert (call.state, call.error, call.cost_usd) == (CallState.FAILED, code, 0.1)


async def test_a_refused_reservation_stops_the_call() -> None:
    class Empty(MemoryLedgerStore):
        async def reserve(self, call: ModelCall) -> Sequence[str]:
            raise BudgetError("the budget is spent")

    made = False
    with pytest.raises(IntelForgeError, match="budget"):
        async with ledger(Empty()).call("openai:m", accounting=ANSWER, reserve_usd=0.0):
            made = True
    assert not made


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=20))
def test_no_call_stays_open(outcomes: list[bool]) -> None:
    async def run(store: MemoryLedgerStore, enter: Callable[[bool], object]) -> None:
        book = Ledger(store)

        async def one(good: bool) -> None:
            async with book.call("m", accounting=ANSWER, reserve_usd=0.0):
                enter(good)
                if not good:
                    raise ModelError("no")

        await asyncio.gather(*(one(good) for good in outcomes), return_exceptions=True)

    store = MemoryLedgerStore()
    entered: list[bool] = []
    asyncio.run(run(store, entered.append))
    assert len(store.calls) == len(outcomes) == len(entered)
    assert [call.state is CallState.SETTLED for call in store.calls] == outcomes


async def test_whom_a_call_is_for_and_all_that_it_took_are_on_record() -> None:
    store = MemoryLedgerStore()
    accounting = Accounting(user="ann", team="sales", run="r1", purpose="judge")
    async with ledger(store).call("openai:m", accounting=accounting, kind="image", reserve_usd=0.5) as usage:
        usage.tokens = Tokens(input=9, output=4, cache_read=3, cache_write=2, thinking=1)
        usage.first_token_seconds, usage.cost_usd = 0.25, 0.125
    (call,) = store.calls
    assert (call.user, call.team, call.run, call.purpose, call.kind) == ("ann", "sales", "r1", "judge", "image")
    assert (call.input_tokens, call.output_tokens, call.cache_read_tokens, call.cache_write_tokens) == (9, 4, 3, 2)
    assert (call.thinking_tokens, call.first_token_seconds, call.provider) == (1, 0.25, "openai")


@pytest.mark.parametrize(
    ("cost", "tokens", "known"),
    [
        (0.1, Tokens(input=1), 0.1),
        (0.0, Tokens(input=1), 0.0),
        (0.0, Tokens(), None),
        (None, Tokens(input=1), None),
        (float("nan"), Tokens(input=1), None),
        (-1.0, Tokens(input=1), None),
        (float("inf"), Tokens(input=1), None),
    ],
)
async def test_a_cost_that_is_missing_or_makes_no_sense_is_not_known(
    cost: float | None, tokens: Tokens, known: float | None
) -> None:
    store = MemoryLedgerStore()
    async with ledger(store).call("openai:m", accounting=ANSWER, reserve_usd=0.5) as usage:
        usage.cost_usd, usage.tokens = cost, tokens
    assert store.calls[0].cost_usd == known


async def test_a_call_that_failed_for_nothing_cost_nothing() -> None:
    store = MemoryLedgerStore()

    async def fail() -> None:
        async with ledger(store).call("openai:m", accounting=ANSWER, reserve_usd=0.5) as usage:
            usage.cost_usd = 0.0
            raise ModelError("no", code=ErrorCode.REFUSED)

    with pytest.raises(ModelError):
        await fail()
    assert store.calls[0].cost_usd == 0.0


async def test_a_local_call_costs_nothing_whatever_is_said() -> None:
    store = MemoryLedgerStore()
    async with ledger(store).call("ollama:m", accounting=ANSWER, reserve_usd=None, local=True) as usage:
        pass
    assert (store.calls[0].cost_usd, store.calls[0].priced, usage.notes) == (0.0, True, [])


async def test_a_call_that_costs_more_than_was_reserved_is_on_record_in_full_and_says_so() -> None:
    store = MemoryLedgerStore()
    async with ledger(store).call("openai:m", accounting=ANSWER, reserve_usd=0.5) as usage:
        usage.cost_usd = 0.75
    assert store.calls[0].cost_usd == 0.75
    assert usage.notes == ["the call of openai:m cost $0.75, more than the $0.50 that were reserved for it"]


async def test_what_a_provider_says_is_made_fit_for_every_database() -> None:
    store = MemoryLedgerStore()
    accounting = Accounting(user="a\0b" + "x" * 500, purpose="p" * 100, team="\ud800")
    async with ledger(store).call("openai:" + "m" * 500, accounting=accounting, reserve_usd=0.5) as usage:
        usage.tokens = Tokens(input=10**15, output=-3)
    (call,) = store.calls
    assert (len(call.user), len(call.model), len(call.purpose), call.team) == (255, 255, 64, "?")
    assert "\0" not in call.user
    assert (call.input_tokens, call.output_tokens) == (2**31 - 1, 0)

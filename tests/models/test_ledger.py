"""Every call is reserved before and settled after."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.core.errors import ErrorCode, IntelForgeError, ModelError
from intelforge.models.ledger import CallState, Ledger, MemoryLedgerStore, ModelCall

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def ledger(store: MemoryLedgerStore) -> Ledger:
    ticks = iter(float(tick) for tick in range(100))
    ids = iter(f"call-{number}" for number in range(100))
    return Ledger(store, clock=lambda: NOW, new_id=lambda: next(ids), timer=lambda: next(ticks))


async def test_a_call_is_on_record_while_it_runs_and_settled_after() -> None:
    store = MemoryLedgerStore()
    async with ledger(store).call("ollama:m", purpose="answer", reserve_usd=0.5) as usage:
        (open_call,) = store.calls
        usage.input_tokens, usage.output_tokens, usage.cost_usd = 7, 3, 0.25
    assert open_call == ModelCall(
        id="call-0", model="ollama:m", purpose="answer", state=CallState.RESERVED, at=NOW, reserved_usd=0.5
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
        async with ledger(store).call("openai:m", purpose="answer") as usage:
            usage.cost_usd = 0.1
            raise failure

    with pytest.raises(type(failure)):
        await fail()
    (call,) = store.calls
    assert (call.state, call.error, call.cost_usd) == (CallState.FAILED, code, 0.1)


async def test_a_refused_reservation_stops_the_call() -> None:
    class Empty(MemoryLedgerStore):
        async def reserve(self, call: ModelCall) -> None:
            raise ModelError("the budget is spent", code=ErrorCode.REFUSED)

    made = False
    with pytest.raises(IntelForgeError, match="budget"):
        async with ledger(Empty()).call("openai:m", purpose="answer"):
            made = True
    assert not made


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=20))
def test_no_call_stays_open(outcomes: list[bool]) -> None:
    async def run(store: MemoryLedgerStore, enter: Callable[[bool], object]) -> None:
        book = Ledger(store)

        async def one(good: bool) -> None:
            async with book.call("m", purpose="answer"):
                enter(good)
                if not good:
                    raise ModelError("no")

        await asyncio.gather(*(one(good) for good in outcomes), return_exceptions=True)

    store = MemoryLedgerStore()
    entered: list[bool] = []
    asyncio.run(run(store, entered.append))
    assert len(store.calls) == len(outcomes) == len(entered)
    assert [call.state is CallState.SETTLED for call in store.calls] == outcomes

"""Calls of embedders and rerankers in the ledger."""

import asyncio
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.core.accounting import on_behalf_of
from intelforge.core.chat import Accounting
from intelforge.core.errors import ErrorCode, ModelError
from intelforge.index.embedders.pieces import estimated_tokens
from intelforge.index.model_api import sendable
from intelforge.models.ledger import CallState, Ledger, MemoryLedgerStore
from intelforge.models.meter import ModelMeter


@dataclass(frozen=True, kw_only=True)
class Call:
    purpose: str = "embed"
    provider: str
    model: str
    tokens: int = 2000
    local: bool = False


SMALL = Call(provider="openai", model="text-embedding-3-small")


@pytest.mark.parametrize(
    ("call", "reserved", "cost"),
    [
        (SMALL, 8000 * 0.02e-6, 1000 * 0.02e-6),
        (Call(provider="ollama", model="nomic-embed-text", local=True), 0.0, 0.0),
        (Call(provider="compatible", model="some"), 0.0, None),
    ],
    ids=["priced", "local", "unknown"],
)
async def test_a_call_is_reserved_before_and_settled_after(call: Call, reserved: float, cost: float | None) -> None:
    store = MemoryLedgerStore()
    async with ModelMeter(Ledger(store))(call) as spent:
        [row] = store.calls
        assert (row.state, row.purpose, row.model) == (CallState.RESERVED, "embed", f"{call.provider}:{call.model}")
        assert row.reserved_usd == pytest.approx(reserved)
        spent.input_tokens = 1000
    [row] = store.calls
    assert (row.state, row.input_tokens, row.output_tokens) == (CallState.SETTLED, 1000, 0)
    assert row.cost_usd == (None if cost is None else pytest.approx(cost))


async def test_a_call_that_fails_is_marked_and_costs_nothing() -> None:
    store = MemoryLedgerStore()
    with pytest.raises(ModelError):
        async with ModelMeter(Ledger(store))(SMALL):
            raise ModelError("no", code=ErrorCode.REFUSED)
    [row] = store.calls
    assert (row.state, row.error, row.cost_usd) == (CallState.FAILED, "refused", 0.0)


async def test_a_call_that_fails_after_its_server_may_have_done_the_work_is_taken_as_spent() -> None:
    store, error = MemoryLedgerStore(), ModelError("late", code=ErrorCode.TIMED_OUT)
    error.may_cost = True
    with pytest.raises(ModelError):
        async with ModelMeter(Ledger(store))(SMALL):
            raise error
    [row] = store.calls
    assert (row.state, row.error, row.input_tokens, row.cost_usd) == (CallState.FAILED, "timed_out", 2000, None)


@settings(deadline=None)  # the first of them reads the price list
@given(told=st.integers(-5, 20_000) | st.integers())
async def test_whatever_a_server_counts_no_more_is_charged_than_was_reserved(told: int) -> None:
    store = MemoryLedgerStore()
    async with ModelMeter(Ledger(store))(SMALL) as spent:
        spent.input_tokens = told
    [row] = store.calls
    if 0 < told <= 8000:
        assert row.cost_usd is not None
        assert row.cost_usd == pytest.approx(told * 0.02e-6)
        assert row.cost_usd <= row.reserved_usd
    else:
        assert (row.cost_usd, row.input_tokens) == (None, 2000)


@settings(deadline=None)
@given(st.text(max_size=60))
async def test_a_token_a_byte_and_the_marks_of_a_text_can_be_true(text: str) -> None:
    store, told = MemoryLedgerStore(), len(text.encode("utf-8", "replace")) + 2
    async with ModelMeter(Ledger(store))(replace(SMALL, tokens=estimated_tokens(sendable(text)))) as spent:
        spent.input_tokens = told
    assert store.calls[0].cost_usd is not None


async def test_a_call_is_entered_for_whom_the_task_works() -> None:
    store = MemoryLedgerStore()
    meter = ModelMeter(Ledger(store))

    async def call() -> None:
        async with meter(SMALL):
            await asyncio.sleep(0)

    async def asked(user: str) -> None:
        with on_behalf_of(Accounting(user=user, team="t", run="r", purpose="chat")):
            async with asyncio.TaskGroup() as tasks:
                for _ in range(3):
                    tasks.create_task(call())

    await asyncio.gather(asked("ann"), asked("bob"), call())
    entered = [(row.user, row.team, row.run, row.purpose) for row in store.calls]
    both = [("ann", "t", "r", "embed"), ("bob", "t", "r", "embed")]
    assert sorted(entered) == sorted([("", "", "", "embed"), *both * 3])


async def test_a_call_that_is_given_up_on_its_way_is_taken_as_spent() -> None:
    store, asked = MemoryLedgerStore(), asyncio.Event()

    async def call() -> None:
        async with ModelMeter(Ledger(store))(SMALL):
            asked.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [row] = store.calls
    assert (row.state, row.error, row.input_tokens) == (CallState.FAILED, "interrupted", 2000)
    assert row.cost_usd is None


async def test_a_server_that_does_not_count_is_charged_what_was_reserved() -> None:
    store = MemoryLedgerStore()
    async with ModelMeter(Ledger(store))(SMALL):
        pass
    [row] = store.calls
    assert (row.state, row.input_tokens, row.cost_usd) == (CallState.SETTLED, 2000, None)
    assert row.reserved_usd == pytest.approx(8000 * 0.02e-6)

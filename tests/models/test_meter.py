"""Calls of embedders and rerankers in the ledger."""

import asyncio
from dataclasses import dataclass

import pytest

from intelforge.core.errors import ErrorCode, ModelError
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
        (SMALL, 5000 * 0.02e-6, 1000 * 0.02e-6),
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
    assert row.reserved_usd == pytest.approx(5000 * 0.02e-6)

"""One attempt: what enters the ledger, and when."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intelforge.core.chat import Accounting, ChatResponse, Done, StreamEvent, Tokens
from intelforge.core.errors import BudgetError, ErrorCode, IntelForgeError, ModelError
from intelforge.models.endpoint import _Bill
from intelforge.models.estimates import most_tokens
from intelforge.models.failures import Failure, failure
from intelforge.models.ledger import CallState
from intelforge.models.resilience import RetryPolicy
from intelforge.testing.gateway import READ_USD, WRITTEN_USD, FlatPrices, GatewayBench, ask
from intelforge.testing.mock_model import MockModel, Rule
from intelforge.testing.model_server import ModelServer, chat_reply


def telling(tokens: Tokens) -> list[Rule]:
    return [Rule(reply="Fine.", tokens=tokens)]


async def test_what_was_told_is_charged_once(bench: GatewayBench) -> None:
    model = bench.chain(("a:x", telling(Tokens(input=10, output=2))))
    response = await model.respond(ask(accounting=Accounting(purpose="judge")))
    (call,) = bench.store.calls
    assert (call.model, call.purpose, call.state) == ("a:x", "judge", CallState.SETTLED)
    assert (call.input_tokens, call.output_tokens) == (10, 2)
    assert call.cost_usd == response.cost_usd == pytest.approx(10 * READ_USD + 2 * WRITTEN_USD)


async def test_the_length_that_is_reserved_is_the_length_that_is_asked_for(bench: GatewayBench) -> None:
    mock = MockModel(telling(Tokens(input=10, output=2)))
    await bench.chain(("a:x", mock)).respond(ask())
    await bench.chain(("a:x", mock)).respond(ask(max_tokens=50))
    assert [request.max_tokens for request in mock.requests] == [100, 50]
    whole, half = (call.reserved_usd for call in bench.store.calls)
    assert whole - half == pytest.approx(50 * WRITTEN_USD)


@pytest.mark.parametrize(
    "tokens", [Tokens(estimated=True), Tokens(), Tokens(input=-9, output=1), Tokens(input=5, output=10**7)]
)
async def test_counts_that_are_missing_or_cannot_be_charge_the_reservation(bench: GatewayBench, tokens: Tokens) -> None:
    response = await bench.chain(("a:x", telling(tokens))).respond(ask())
    (call,) = bench.store.calls
    assert call.charged_usd == response.cost_usd == call.reserved_usd > 0
    assert call.cost_usd is None
    assert response.tokens.estimated
    assert response.tokens.input > 0
    assert "charged as it was reserved" in response.notes[0]


COUNTS = st.integers(-2, 3_000) | st.integers()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tokens=st.builds(
        Tokens,
        input=COUNTS,
        output=COUNTS,
        cache_read=COUNTS,
        cache_write=COUNTS,
        thinking=COUNTS,
        estimated=st.booleans(),
    ),
    text=st.text(min_size=1, max_size=50),
)
async def test_whatever_is_told_no_more_is_charged_than_was_reserved(
    bench: GatewayBench, tokens: Tokens, text: str
) -> None:
    response = await bench.chain(("a:x", telling(tokens))).respond(ask(text))
    call = bench.store.calls[-1]
    assert 0 < call.charged_usd <= call.reserved_usd
    told = READ_USD * tokens.input + WRITTEN_USD * tokens.output
    expected = call.reserved_usd if response.tokens.estimated else pytest.approx(told)
    assert response.cost_usd == call.charged_usd == expected


async def test_counts_that_are_no_whole_numbers_are_not_entered(bench: GatewayBench) -> None:
    told: Any = 3.5
    response = await bench.chain(("a:x", telling(Tokens(input=told, output=1)))).respond(ask())
    assert response.tokens.estimated
    assert all(type(call.input_tokens) is int for call in bench.store.calls)


async def test_counts_that_would_cost_more_than_was_reserved_charge_the_reservation(bench: GatewayBench) -> None:
    class Dear(FlatPrices):
        """Writing to the cache costs more than reading, as it does at some."""

        def cost(self, provider: str, model: str, tokens: Tokens) -> float | None:
            return (tokens.input + tokens.output + tokens.cache_write) * READ_USD

    bench.prices = Dear()
    most = most_tokens(ask(max_tokens=100), model="a:x").input
    response = await bench.chain(("a:x", telling(Tokens(input=most, output=1, cache_write=most)))).respond(ask())
    (call,) = bench.store.calls
    assert response.cost_usd == call.charged_usd == call.reserved_usd
    assert "charged as it was reserved" in response.notes[0]


async def test_a_local_model_costs_nothing_whatever_it_tells(bench: GatewayBench) -> None:
    response = await bench.chain(("ollama:x", telling(Tokens(estimated=True))), local=True).respond(ask())
    assert response.cost_usd == bench.store.calls[0].cost_usd == bench.store.calls[0].reserved_usd == 0.0


async def test_an_empty_reply_is_charged_what_it_took_and_names_model_and_fix(bench: GatewayBench) -> None:
    bench.retry = RetryPolicy(retries=0)
    with pytest.raises(ModelError, match="a:x gave an empty reply") as caught:
        await bench.chain(("a:x", [Rule(tokens=Tokens(input=10, output=1))])).respond(ask())
    assert caught.value.hint
    (call,) = bench.store.calls
    assert (call.state, call.error) == (CallState.FAILED, ErrorCode.MODEL_FAILED.value)
    assert call.cost_usd == pytest.approx(10 * READ_USD + WRITTEN_USD)


async def test_the_ledger_has_the_cost_before_the_caller_has_the_reply(bench: GatewayBench) -> None:
    states: list[CallState] = []
    model = bench.chain(("a:x", telling(Tokens(input=10, output=2))))
    events: list[StreamEvent] = []
    async for event in model.stream(ask()):
        events.append(event)
        states.append(bench.store.calls[0].state)
    assert isinstance(events[-1], Done)
    assert states == [CallState.RESERVED, CallState.SETTLED]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_calls_share_connections(bench: GatewayBench) -> None:
    async with ModelServer(lambda request: chat_reply("Fine."), keep_alive=True) as server:
        tiny, large = await bench.open(f"{server.url}/v1#tiny"), await bench.open(f"{server.url}/v1#large")
        for model in (tiny, large, tiny):
            await model.respond(ask())
        assert server.connections == 1
        replies = await asyncio.gather(*(tiny.respond(ask()) for _ in range(20)))
        assert all(isinstance(reply, ChatResponse) for reply in replies)
        assert server.connections <= 20
    assert len(bench.store.calls) == 23


@pytest.mark.parametrize(
    ("error", "begun", "charged"),
    [
        (failure(Failure.SERVER, "a:x failed", hint="-"), False, 0.0),
        (failure(Failure.SERVER, "a:x failed", hint="-"), True, 0.5),
        (failure(Failure.BUSY, "a:x is asked too often", hint="-"), True, 0.5),
        (failure(Failure.BROKEN, "a:x broke off", hint="-"), False, 0.5),
        (failure(Failure.KEY, "a:x refused the key", hint="-"), False, 0.0),
        (BudgetError("the budget is spent", hint="-"), False, 0.0),
        (GeneratorExit(), False, 0.5),
    ],
)
def test_a_failure_is_charged_when_the_provider_may_have_done_the_work(
    error: IntelForgeError, begun: bool, charged: float
) -> None:
    bill = _Bill(0.0, Tokens(input=9, output=9), 0.5)
    bill.first_token = 0.1 if begun else None
    bill.fail(error)
    assert bill.cost == charged

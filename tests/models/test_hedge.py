"""A second request where the first is slow."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from intelforge.core.chat import ChatRequest, ChatResponse, Done, StreamEvent, TextDelta, Tokens
from intelforge.core.errors import ModelError
from intelforge.models.endpoint import Limits
from intelforge.models.hedge import hedged
from intelforge.models.ledger import CallState
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.mock_model import MockModel, Rule
from intelforge.testing.model_server import ModelServer, ServerReply, ServerRequest, chat_reply, stream_reply

FINE = [Rule(reply="So it is.", tokens=Tokens(input=10, output=2))]
STALLING = [Rule(fault="stall")]


async def test_the_next_model_is_heard_when_the_first_says_nothing(bench: GatewayBench) -> None:
    bench.hedge_seconds = 0.02
    response = await bench.chain(("a:x", STALLING), ("b:y", FINE)).respond(ask())
    assert (response.model, response.text) == ("b:y", "So it is.")
    assert {attempt.model for attempt in response.attempts} == {"a:x", "b:y"}
    given_up, heard = bench.store.calls
    assert (given_up.state, heard.state) == (CallState.FAILED, CallState.SETTLED)
    assert given_up.charged_usd == given_up.reserved_usd > 0
    assert response.cost_usd == pytest.approx(given_up.charged_usd + heard.charged_usd)
    assert any("asked b:y too" in note for note in response.notes)


async def test_a_model_that_speaks_in_time_is_alone(bench: GatewayBench) -> None:
    bench.hedge_seconds = 5.0
    spare = MockModel(FINE)
    response = await bench.chain(("a:x", FINE), ("b:y", spare)).respond(ask())
    assert response.model == "a:x"
    assert spare.requests == []
    assert len(bench.store.calls) == 1


async def test_a_failure_of_the_second_leaves_the_first_its_time(bench: GatewayBench) -> None:
    class Slow(MockModel):
        async def send(
            self, request: ChatRequest, *, stream: bool, timeout: float
        ) -> AsyncGenerator[StreamEvent, None]:
            await asyncio.sleep(0.1)
            async for event in MockModel.send(self, request, stream=stream, timeout=timeout):
                yield event

    bench.hedge_seconds = 0.02
    response = await bench.chain(("a:x", Slow(FINE)), ("b:y", [Rule(fault="server")])).respond(ask())
    assert response.model == "a:x"
    assert len(response.attempts) == 2


async def test_both_failures_are_told_when_both_fail(bench: GatewayBench) -> None:
    bench.hedge_seconds = 0.01
    bench.limits = Limits(total=30, first_token=0.1)
    model = bench.chain(("a:x", STALLING), ("b:y", [Rule(fault="key")]))
    with pytest.raises(ModelError, match=r"none of 2 models answered: a:x .*\(key\)"):
        await collected(model.stream(ask()))
    assert [call.state for call in bench.store.calls] == [CallState.FAILED, CallState.FAILED]


class Failing(MockModel):
    """Is slow to say that it has failed, which is when the gate opens."""

    gate: asyncio.Event

    async def send(self, request: ChatRequest, *, stream: bool, timeout: float) -> AsyncGenerator[StreamEvent, None]:
        await self.gate.wait()
        async for event in MockModel.send(self, request, stream=stream, timeout=timeout):
            yield event


class Opening(MockModel):
    """Opens the gate when it is asked."""

    gate: asyncio.Event

    async def send(self, request: ChatRequest, *, stream: bool, timeout: float) -> AsyncGenerator[StreamEvent, None]:
        asyncio.get_running_loop().call_soon(self.gate.set)
        async for event in MockModel.send(self, request, stream=stream, timeout=timeout):
            yield event


@pytest.mark.parametrize("fault", ["busy", "missing"])
async def test_one_that_was_asked_too_has_its_turn_again_or_is_told(fault: str, bench: GatewayBench) -> None:
    bench.hedge_seconds = 0.01
    slow, spare = Failing([Rule(fault="key")]), Opening([Rule(fault=fault, times=1), *FINE])
    slow.gate = spare.gate = asyncio.Event()
    model = bench.chain(("a:x", slow), ("b:y", spare))
    if fault == "busy":
        assert (await model.respond(ask())).model == "b:y"
        assert len(spare.requests) == 2
    else:
        with pytest.raises(ModelError, match="none of 2 models answered") as caught:
            await model.respond(ask())
        assert caught.value.message.count("failed as its script says") == 2


@pytest.mark.parametrize(("wish", "asked"), [(5.0, 2), (500.0, 1)])
async def test_one_that_was_asked_too_is_left_alone_as_long_as_it_wishes(
    wish: float, asked: int, bench: GatewayBench
) -> None:
    bench.hedge_seconds = 0.01
    slow, spare = Failing([Rule(fault="server")]), Opening([Rule(fault="busy", retry_after=wish, times=1), *FINE])
    slow.gate = spare.gate = asyncio.Event()
    model = bench.chain(("a:x", slow), ("b:y", spare))
    if asked == 2:
        assert (await model.respond(ask())).model == "b:y"
        assert max(bench.naps) == pytest.approx(wish, abs=0.5)
    else:
        with pytest.raises(ModelError, match="none of 2 models answered"):
            await model.respond(ask())
    assert len(slow.requests) == bench.retry.retries + 1
    assert len(spare.requests) == asked


async def test_a_broken_model_is_no_spare(bench: GatewayBench) -> None:
    bench.hedge_seconds = 0.01
    bench.limits = Limits(total=30, first_token=0.1)
    spare = MockModel(FINE)
    model = bench.chain(("a:x", STALLING), ("b:y", spare))
    bench.breakers["b:y"]._opened = bench.breakers["b:y"].timer()
    with pytest.raises(Exception, match="none of 2"):
        await collected(model.stream(ask()))
    assert spare.requests == []


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_the_connection_of_the_one_not_heard_is_closed_while_the_other_speaks(bench: GatewayBench) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        return ServerReply(hang=True) if request.json["model"] == "slow" else stream_reply(["So ", 0.05, "it is."])

    bench.hedge_seconds = 0.05
    async with ModelServer(respond) as server, asyncio.timeout(20):
        model = await bench.open(f"{server.url}/v1#slow, {server.url}/v1#quick")
        async with aclosing(model.stream(ask())) as events:
            assert await anext(events) == TextDelta("So ")
            await server.left.acquire()
            rest = [event async for event in events]
    assert isinstance(rest[-1], Done)
    assert rest[-1].response.text == "So it is."
    assert {call.state for call in bench.store.calls} == {CallState.FAILED, CallState.SETTLED}


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("slow", ["first", "second"])
async def test_a_whole_reply_of_either_closes_the_connection_of_the_other(bench: GatewayBench, slow: str) -> None:
    """The first is slow in either case: it never replies, or only when the second has been asked."""

    def respond(request: ServerRequest) -> ServerReply:
        if request.json["model"] == slow:
            return ServerReply(hang=True)
        return chat_reply("So it is.") if slow == "first" else delayed_reply("So it is.", 1.0)

    bench.hedge_seconds = 0.05
    async with ModelServer(respond) as server, asyncio.timeout(20):
        model = await bench.open(f"{server.url}/v1#first, {server.url}/v1#second")
        response = await model.respond(ask())
        await server.left.acquire()
        asked = [request.json for request in server.requests]
    assert [body["model"] for body in asked] == ["first", "second"]
    assert not any(body.get("stream") for body in asked)
    assert response.text == "So it is."
    assert response.model.endswith("second" if slow == "first" else "first")
    assert {call.model: call.state for call in bench.store.calls} == {
        f"{response.model.rpartition('/')[0]}/{slow}": CallState.FAILED,
        response.model: CallState.SETTLED,
    }


async def test_leaving_while_both_run_gives_both_up(bench: GatewayBench) -> None:
    bench.hedge_seconds = 0.01
    task = asyncio.ensure_future(bench.chain(("a:x", STALLING), ("b:y", STALLING)).respond(ask()))
    async with asyncio.timeout(10):
        while len(bench.store.calls) < 2:  # noqa: ASYNC110 - the store tells no one
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [call.state for call in bench.store.calls] == [CallState.FAILED, CallState.FAILED]


async def collected(events: AsyncGenerator[StreamEvent, None]) -> list[StreamEvent]:
    async with aclosing(events) as opened:
        return [event async for event in opened]


def delayed_reply(text: str, seconds: float) -> ServerReply:
    """A whole reply whose body begins after a while."""
    return ServerReply(chunks=[seconds, chat_reply(text).body])


async def test_who_leaves_while_the_slower_is_given_up_leaves_no_error_behind() -> None:
    given_up, over = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncGenerator[StreamEvent, None]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.set()
            await over.wait()
            raise ModelError("it failed", hint="try again") from None
        yield TextDelta("")

    async def quick() -> AsyncGenerator[StreamEvent, None]:
        yield Done(ChatResponse(parts=(), model="b:y"))

    async def consume() -> None:
        async for _ in hedged(slow(), quick, seconds=0.0):
            pass

    left: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    consuming = asyncio.create_task(consume())
    await given_up.wait()
    consuming.cancel()
    await asyncio.wait([consuming])
    del consuming
    over.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    gc.collect()
    assert left == []

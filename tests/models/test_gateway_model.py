"""Chains: what is asked again, what is given up, and what it all costs."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    Image,
    Message,
    Role,
    StreamEvent,
    Text,
    TextDelta,
    Tokens,
    Tool,
    ToolCall,
)
from intelforge.core.errors import ErrorCode, IntelForgeError, InvalidInputError, ModelError, StorageError
from intelforge.models.endpoint import Limits
from intelforge.models.failures import Failure, ProviderError, failure
from intelforge.models.gateway_model import GatewayModel, Lent
from intelforge.models.ledger import CallState, ModelCall
from intelforge.models.protocol import Abilities, LanguageModel
from intelforge.models.resilience import CircuitBreaker, RetryPolicy
from intelforge.testing.gateway import READ_USD, WRITTEN_USD, GatewayBench, ask
from intelforge.testing.mock_model import MockModel, Rule
from intelforge.testing.model_server import (
    ModelServer,
    ServerReply,
    ServerRequest,
    chat_reply,
    error_reply,
    stream_reply,
)

KEY = "sk-verysecret-0123456789"
PLAIN_TOOL = Tool(name="weather", description="", parameters={})
FINE = [Rule(reply="Fine.", tokens=Tokens(input=10, output=2))]


async def events_of(model: LanguageModel, request: ChatRequest) -> list[StreamEvent]:
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]


async def read_into(given: list[StreamEvent], model: LanguageModel) -> None:
    async with aclosing(model.stream(ask())) as events:
        async for event in events:
            given += [event]


def failing(fault: str, **fields: object) -> list[Rule]:
    return [Rule(fault=fault, **fields)]  # type: ignore[arg-type]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_stream_comes_in_pieces_and_ends_with_the_whole(bench: GatewayBench) -> None:
    pieces: list[str | float] = ["Hel", 0.05, "lo"]
    async with ModelServer(lambda request: stream_reply(pieces)) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        *given, end = await events_of(model, ask())
    assert given == [TextDelta("Hel"), TextDelta("lo")]
    assert isinstance(end, Done)
    response = end.response
    assert (response.text, response.finish_reason) == ("Hello", FinishReason.STOP)
    assert response.tokens == Tokens(input=12, output=5)
    assert 0 < response.timings.first_token < response.timings.total
    name = f"compatible:{server.url.removeprefix('http://')}/tiny"
    assert [(attempt.model, attempt.error) for attempt in response.attempts] == [(name, "")]
    assert server.requests[0].json["stream_options"] == {"include_usage": True}


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_stream_that_ends_without_a_reason_is_not_taken_as_whole(bench: GatewayBench) -> None:
    reply = stream_reply(["Hel"], reset=True)
    cut = ServerReply(headers=reply.headers, chunks=reply.chunks)
    async with ModelServer(lambda request: cut) as server:
        *_, end = await events_of(await bench.open(f"{server.url}/v1#tiny"), ask())
    assert isinstance(end, Done)
    assert end.response.finish_reason is FinishReason.UNKNOWN
    assert any("may be cut off" in note for note in end.response.notes)


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_busy_model_is_asked_again_when_it_says(bench: GatewayBench, form: str) -> None:
    asked: list[ServerRequest] = []

    def respond(request: ServerRequest) -> ServerReply:
        asked.append(request)
        later = datetime.now(UTC) + timedelta(seconds=8)
        wait = {"seconds": "7", "date": format_datetime(later, usegmt=True)}[form]
        return chat_reply("Fine.") if len(asked) > 1 else error_reply(429, "slow", headers={"retry-after": wait})

    async with ModelServer(respond) as server:
        response = await (await bench.open(f"{server.url}/v1#tiny")).respond(ask())
    assert response.text == "Fine."
    assert 6 <= bench.naps[0] <= 8
    assert len(bench.naps) == 1
    assert [bool(attempt.error) for attempt in response.attempts] == [True, False]
    assert [call.state for call in bench.store.calls] == [CallState.FAILED, CallState.SETTLED]


async def test_a_wait_that_would_outlast_the_request_is_not_begun(bench: GatewayBench) -> None:
    with pytest.raises(ModelError) as caught:
        await bench.chain(("a:x", failing("busy", retry_after=60.0))).respond(ask())
    assert bench.naps == []
    assert caught.value.hint


async def test_the_next_model_is_asked_rather_than_waiting_long(bench: GatewayBench) -> None:
    response = await bench.chain(("a:x", failing("busy", retry_after=20.0)), ("b:y", FINE)).respond(ask())
    assert (response.model, response.text) == ("b:y", "Fine.")
    assert bench.naps == []
    assert any("fell back to b:y" in note for note in response.notes)


@pytest.mark.parametrize(
    ("fault", "times"),
    [("server", 3), ("unreachable", 3), ("broken", 3), ("malformed", 3), ("timeout", 1), ("key", 1), ("missing", 1)],
)
async def test_a_model_is_asked_again_by_the_class_of_its_failure(bench: GatewayBench, fault: str, times: int) -> None:
    mock = MockModel(failing(fault))
    with pytest.raises(ProviderError):
        await bench.chain(("a:x", mock)).respond(ask())
    assert len(mock.requests) == times
    assert bench.naps == [0.5, 1.0][: times - 1]


async def test_a_chain_goes_on_when_a_model_fails_and_counts_the_cost_of_all(bench: GatewayBench) -> None:
    empty = [Rule(tokens=Tokens(input=100, output=1))]
    bench.retry = RetryPolicy(retries=0)
    response = await bench.chain(("a:x", empty), ("b:y", FINE)).respond(ask())
    costs = [100 * READ_USD + WRITTEN_USD, 10 * READ_USD + 2 * WRITTEN_USD]
    assert [attempt.cost_usd for attempt in response.attempts] == pytest.approx(costs)
    assert response.cost_usd == pytest.approx(sum(costs))
    assert [call.cost_usd for call in bench.store.calls] == pytest.approx(costs)
    assert [call.model for call in bench.store.calls] == ["a:x", "b:y"]


async def test_what_all_of_a_chain_said_is_told(bench: GatewayBench) -> None:
    with pytest.raises(ModelError) as caught:
        await bench.chain(("a:x", failing("key")), ("b:y", failing("missing"))).respond(ask())
    assert "none of 2 models answered" in caught.value.message
    assert caught.value.error_code is ErrorCode.MODEL_FAILED


async def test_a_failure_of_our_own_is_not_answered_by_another_model(bench: GatewayBench) -> None:
    class Broken:
        async def reserve(self, call: ModelCall) -> None:
            raise StorageError("the disk is full", code=ErrorCode.DISK_FULL)

        async def settle(self, call: ModelCall) -> None: ...

    mock = MockModel(FINE)
    bench.store = Broken()  # type: ignore[assignment]
    with pytest.raises(StorageError):
        await bench.chain(("a:x", mock), ("b:y", mock)).respond(ask())
    assert mock.requests == []


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_reset_within_a_stream_is_told_and_not_tried_again(bench: GatewayBench) -> None:
    given: list[StreamEvent] = []
    async with ModelServer(lambda request: stream_reply(["Hel", 0.05], reset=True)) as server:
        model = await bench.open(f"{server.url}/v1#tiny, {server.url}/v1#other")
        with pytest.raises(ProviderError) as caught:
            await read_into(given, model)
        assert len(server.requests) == 1
    assert given == [TextDelta("Hel")]
    assert caught.value.partial
    assert "part of the reply" in caught.value.message
    assert caught.value.error_code is ErrorCode.UNREACHABLE
    assert [call.state for call in bench.store.calls] == [CallState.FAILED]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_reset_before_a_stream_begins_is_tried_again(bench: GatewayBench) -> None:
    replies = iter([ServerReply(reset=True), stream_reply(["Fine."])])
    async with ModelServer(lambda request: next(replies)) as server:
        *_, end = await events_of(await bench.open(f"{server.url}/v1#tiny"), ask())
    assert isinstance(end, Done)
    assert len(end.response.attempts) == 2


async def test_what_breaks_off_is_charged_as_it_was_reserved(bench: GatewayBench) -> None:
    model = bench.chain(("a:x", failing("broken", reply="One two three.", after_pieces=2)))
    with pytest.raises(ProviderError):
        await events_of(model, ask(max_tokens=50))
    (call,) = bench.store.calls
    assert call.charged_usd == call.reserved_usd > 50 * WRITTEN_USD


@pytest.mark.parametrize("fault", ["busy", "server", "unreachable", "key"])
async def test_what_was_surely_not_done_costs_nothing(bench: GatewayBench, fault: str) -> None:
    bench.retry = RetryPolicy(retries=0)
    with pytest.raises(ProviderError):
        await bench.chain(("a:x", failing(fault))).respond(ask())
    (call,) = bench.store.calls
    assert call.cost_usd == 0.0 < call.reserved_usd


@pytest.mark.parametrize(
    ("limits", "setting", "partial"),
    [
        (Limits(total=30, first_token=0.05), "llm_first_token_timeout", False),
        (Limits(total=30, token=0.05), "llm_token_timeout", True),
        (Limits(total=0.05), "llm_timeout", False),
    ],
)
async def test_a_stall_ends_in_time_and_names_the_setting(
    bench: GatewayBench, limits: Limits, setting: str, partial: bool
) -> None:
    bench.limits = limits
    stalling = failing("stall", reply="One two three.", after_pieces=2 if partial else 0)
    async with asyncio.timeout(10):
        with pytest.raises(ProviderError) as caught:
            await events_of(bench.chain(("a:x", stalling)), ask())
    assert setting in caught.value.hint
    assert caught.value.partial is partial
    assert caught.value.error_code is ErrorCode.TIMED_OUT
    (call,) = bench.store.calls
    assert call.charged_usd == call.reserved_usd


async def test_a_stalling_model_is_left_for_the_next_one(bench: GatewayBench) -> None:
    bench.limits = Limits(total=30, first_token=0.05)
    *_, end = await events_of(bench.chain(("a:x", failing("stall")), ("b:y", FINE)), ask())
    assert isinstance(end, Done)
    assert end.response.model == "b:y"


async def test_the_time_limit_is_for_all_attempts(bench: GatewayBench) -> None:
    stalling = failing("stall")
    async with asyncio.timeout(10):
        with pytest.raises(ModelError) as caught:
            await bench.chain(("a:x", stalling), ("b:y", stalling)).respond(ask(timeout=0.1))
    assert caught.value.error_code is ErrorCode.TIMED_OUT


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("stream", [False, True])
async def test_cancelling_closes_the_connection_and_settles_the_call(bench: GatewayBench, stream: bool) -> None:
    reply = stream_reply(["Hel"], hang=True) if stream else ServerReply(hang=True)
    asked = asyncio.Event()

    def respond(request: ServerRequest) -> ServerReply:
        asked.set()
        return reply

    async with ModelServer(respond) as server, asyncio.timeout(20):
        model = await bench.open(f"{server.url}/v1#tiny")
        given: list[StreamEvent] = []
        task = asyncio.ensure_future(read_into(given, model) if stream else model.respond(ask()))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.left.acquire()
    (call,) = bench.store.calls
    assert (call.state, call.error) == (CallState.FAILED, "interrupted")


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_leaving_a_stream_closes_the_connection_and_settles_the_call(bench: GatewayBench) -> None:
    async with ModelServer(lambda request: stream_reply(["Hel"], hang=True)) as server, asyncio.timeout(20):
        model = await bench.open(f"{server.url}/v1#tiny")
        async with aclosing(model.stream(ask())) as events:
            assert await anext(events) == TextDelta("Hel")
        await server.left.acquire()
    (call,) = bench.store.calls
    assert call.state is CallState.FAILED


async def test_a_broken_model_is_left_alone_until_it_is_well(bench: GatewayBench) -> None:
    clock = [0.0]
    mock = MockModel([Rule(fault="server", times=5), *FINE])
    bench.retry = RetryPolicy(retries=0)
    model = bench.chain(("a:x", mock))
    bench.breakers["a:x"].timer = lambda: clock[0]
    for _ in range(5):
        with pytest.raises(ProviderError):
            await model.respond(ask())
    with pytest.raises(ProviderError, match="left alone"):
        await model.respond(ask())
    assert len(mock.requests) == 5
    assert len(bench.store.calls) == 5
    clock[0] = 16.0
    assert (await model.respond(ask())).text == "Fine."
    assert (await model.respond(ask())).text == "Fine."


@pytest.mark.parametrize(
    ("rule", "wish"),
    [
        (Rule(reply="no JSON"), {"output_schema": {"type": "object"}}),
        (
            Rule(tool=ToolCall(id="", name="bomb", arguments="{}")),
            {"tools": (PLAIN_TOOL,)},
        ),
        (
            Rule(tool=ToolCall(id="", name="weather", arguments="[1]")),
            {"tools": (PLAIN_TOOL,)},
        ),
        (Rule(finish=FinishReason.LENGTH), {"max_tokens": 1}),
    ],
)
async def test_replies_that_are_not_what_one_caller_asked_for_leave_the_model_to_others(
    bench: GatewayBench, rule: Rule, wish: dict[str, Any]
) -> None:
    bench.retry = RetryPolicy(retries=0)
    model = bench.chain(("a:x", [replace(rule, times=20), *FINE]))
    for _ in range(10):
        with pytest.raises(ProviderError, match="a:x"):
            await model.respond(ask(**wish))
    assert not bench.breakers["a:x"].open


async def test_a_model_that_no_time_is_left_for_is_neither_charged_nor_blamed(bench: GatewayBench) -> None:
    unasked = MockModel(FINE)
    bench.limits = Limits(total=0.05)
    with pytest.raises(ModelError, match="a:x did not answer in time; no time was left to ask b:y") as caught:
        await bench.chain(("a:x", [Rule(fault="stall")]), ("b:y", unasked)).respond(ask())
    assert caught.value.error_code is ErrorCode.TIMED_OUT
    assert not unasked.requests
    slow, late = bench.store.calls
    assert slow.charged_usd == slow.reserved_usd > 0
    assert late.charged_usd == 0.0
    assert not bench.breakers["b:y"]._failed


async def test_what_may_not_leave_goes_to_a_local_model_alone(bench: GatewayBench) -> None:
    mock = MockModel(FINE)
    with pytest.raises(ModelError) as caught:
        await bench.chain(("a:x", mock)).respond(ask(local_only=True))
    assert caught.value.error_code is ErrorCode.REFUSED
    assert mock.requests == []
    assert (await bench.chain(("a:x", mock), local=True).respond(ask(local_only=True))).cost_usd == 0.0


async def test_a_chain_is_local_when_all_its_models_are(bench: GatewayBench) -> None:
    here, away = bench.chain(("a:x", MockModel(FINE)), local=True), bench.chain(("b:y", MockModel(FINE)))
    assert (here.local, away.local) == (True, False)
    assert not replace(here, candidates=(*here.candidates, *away.candidates)).local


async def test_images_go_to_models_that_see(bench: GatewayBench) -> None:
    picture = Message(role=Role.USER, parts=(Text("What is it?"), Image(data=b"png", media_type="image/png")))
    blind = MockModel(FINE, abilities=Abilities(images=False))
    request = ChatRequest(messages=(picture,))
    response = await bench.chain(("a:x", blind), ("b:y", FINE)).respond(request)
    assert response.model == "b:y"
    with pytest.raises(ProviderError, match="cannot see images"):
        await bench.chain(("a:x", blind)).respond(request)
    assert blind.requests == []


async def test_a_price_that_is_not_known_makes_the_sum_unknown(bench: GatewayBench) -> None:
    assert (await bench.chain(("a:unpriced", FINE)).respond(ask())).cost_usd is None


class OneReply:
    """A Cache of one response."""

    def __init__(self) -> None:
        self.kept: ChatResponse | None = None
        self.notes: tuple[str, ...] = ()
        self.trouble = ""

    async def find(self, request: ChatRequest, *, model: str) -> ChatResponse | None:
        return self.kept

    async def keep(
        self, request: ChatRequest, response: ChatResponse, *, model: str, notes: Sequence[str] = ()
    ) -> None:
        self.kept, self.notes = response, tuple(notes)


async def test_a_response_that_was_kept_asks_no_model(bench: GatewayBench) -> None:
    mock = MockModel(FINE)
    bench.lent = Lent(cache=OneReply())
    model = bench.chain(("a:x", mock))
    first = await model.respond(ask())
    assert await events_of(model, ask()) == [TextDelta("Fine."), Done(first)]
    assert len(mock.requests) == 1


@pytest.mark.parametrize(("fault", "kept"), [("server", False), ("timeout", False), ("busy", False), ("missing", True)])
async def test_the_reply_of_a_model_that_stood_in_for_a_while_is_not_kept(
    fault: str, kept: bool, bench: GatewayBench
) -> None:
    cache = OneReply()
    bench.lent = Lent(cache=cache)
    assert (await bench.chain(("a:x", failing(fault)), ("b:y", FINE)).respond(ask())).model == "b:y"
    assert (cache.kept is not None) is kept


class Shortened:
    """A Window that keeps the last turn."""

    async def fit(self, request: ChatRequest, *, model: str) -> tuple[ChatRequest, list[str]]:
        return ChatRequest(messages=request.messages[-1:]), [f"made shorter for {model}"]


async def test_a_request_is_made_to_fit_the_model_that_is_asked(bench: GatewayBench) -> None:
    mock = MockModel(FINE)
    bench.lent = Lent(window=Shortened())
    request = ChatRequest(messages=(Message.of(Role.USER, "One."), Message.of(Role.USER, "Two.")))
    response = await bench.chain(("a:x", mock)).respond(request)
    assert [message.text for message in mock.requests[0].messages] == ["Two."]
    assert response.notes == ("made shorter for a:x",)
    assert len(response.attempts) == 1


async def test_only_what_was_left_out_for_the_model_that_replied_is_told(bench: GatewayBench) -> None:
    bench.lent = Lent(window=Shortened())
    response = await bench.chain(("a:x", failing("missing")), ("b:y", FINE)).respond(ask())
    assert [note for note in response.notes if "made shorter" in note] == ["made shorter for b:y"]


async def test_a_reply_that_is_kept_still_says_what_was_left_out(bench: GatewayBench) -> None:
    cache = OneReply()
    bench.lent = Lent(window=Shortened(), cache=cache)
    await bench.chain(("a:x", failing("missing")), ("b:y", FINE)).respond(ask())
    assert cache.notes == ("made shorter for b:y",)


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [307, 400, 401, 403, 404, 429, 500, 529])
async def test_no_key_is_in_any_error_or_log(
    bench: GatewayBench, caplog: pytest.LogCaptureFixture, status: int, stream: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    planted = error_reply(status, f"key {KEY} is no good", headers={"location": "http://127.0.0.1:9/"})
    async with ModelServer(lambda request: planted) as server:
        model = await bench.open(f"{server.url}/v1#tiny", INTELFORGE_LLM_API_KEY_127_0_0_1=KEY)
        with pytest.raises(IntelForgeError) as caught:
            await (events_of(model, ask()) if stream else model.respond(ask()))
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert KEY not in caplog.text
    assert f"compatible:{server.url.removeprefix('http://')}/tiny" in str(caught.value)
    assert all(KEY not in f"{call}" for call in bench.store.calls)


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (ChatRequest(messages=()), "no messages"),
        (ask(tool_choice="weather"), "'weather'"),
        (ask(tool_choice="required"), "gives none"),
        (ask(max_tokens=0), "max_tokens"),
    ],
)
async def test_a_request_that_no_model_could_answer_asks_none(
    bench: GatewayBench, request_: ChatRequest, problem: str
) -> None:
    mock = MockModel(FINE)
    with pytest.raises(InvalidInputError, match=problem) as caught:
        await bench.chain(("a:x", mock)).respond(request_)
    assert caught.value.hint
    assert mock.requests == []


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_half_a_character_does_not_keep_a_request_from_being_sent(bench: GatewayBench) -> None:
    async with ModelServer(lambda request: chat_reply("Fine.")) as server:
        await (await bench.open(f"{server.url}/v1#tiny")).respond(ask("a\ud800b"))
        assert server.requests[0].json["messages"][0]["content"] == "a?b"


async def test_a_model_that_recovered_answers_many_at_once(bench: GatewayBench) -> None:
    """A whole reply closes the breaker although whoever has it leaves before the stream ends."""
    breaker = CircuitBreaker(name="a:x", failures=1, rest=0.0)
    with pytest.raises(ProviderError), breaker.watching():
        raise failure(Failure.SERVER, "a:x failed", hint="-")
    model = bench.chain(("a:x", [Rule(when=None, reply="Here.")]))
    assert isinstance(model, GatewayModel)
    candidate = replace(model.candidates[0], breaker=breaker)
    model = replace(model, candidates=(candidate,))
    assert (await model.respond(ask())).text == "Here."
    assert breaker._opened is None
    replies = await asyncio.gather(*(model.respond(ask()) for _ in range(5)))
    assert [response.text for response in replies] == ["Here."] * 5

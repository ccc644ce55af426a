"""What servers make of OpenAI's form is understood, and what was paid for is not thrown away."""

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import httpx2
import pytest

from intelforge.core.chat import ChatResponse, Done, StreamEvent, Tokens, Tool, ToolCall, ToolCallDelta
from intelforge.models.failures import Failure, ProviderError
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.model_server import chat_reply, stream_chunk, tool_reply

pytestmark = pytest.mark.usefixtures("allow_loopback_requests")

TOOL = Tool(name="weather", description="", parameters={"type": "object"})
DONE = b"data: [DONE]\n\n"

Replied = Callable[[bytes], Awaitable[ChatResponse]]
Streamed = Callable[[Sequence[bytes]], Awaitable[list[StreamEvent]]]


def answering(body: bytes) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=body)))


@pytest.fixture
def replied(bench: GatewayBench) -> Replied:
    """What is made of a whole reply."""

    async def replied(body: bytes) -> ChatResponse:
        async with answering(body) as bench.client:
            model = await bench.open("https://llm.example.com/v1#m")
            return await model.respond(ask(tools=(TOOL,)))

    return replied


@pytest.fixture
def streamed(bench: GatewayBench) -> Streamed:
    """What is made of a stream."""

    async def streamed(chunks: Sequence[bytes]) -> list[StreamEvent]:
        async with answering(b"".join((*chunks, DONE))) as bench.client:
            model = await bench.open("https://llm.example.com/v1#m")
            async with aclosing(model.stream(ask(tools=(TOOL,)))) as events:
                return [event async for event in events]

    return streamed


def call_piece(index: int | None, name: str | None, arguments: str, **fields: str) -> dict[str, Any]:
    return {"index": index, "function": {"name": name, "arguments": arguments}, **fields}


def calls_of(events: Sequence[StreamEvent]) -> tuple[ToolCall, ...]:
    end = events[-1]
    assert isinstance(end, Done)
    return end.response.tool_calls


async def test_counts_that_come_with_every_piece_are_charged_once(streamed: Streamed) -> None:
    chunks = [stream_chunk({"content": "word "}, tokens=(12, count)) for count in (1, 2, 3)]
    *_, end = await streamed([*chunks, stream_chunk({}, finish="stop", tokens=(12, 4))])
    assert isinstance(end, Done)
    assert end.response.tokens == Tokens(input=12, output=4)


@pytest.mark.parametrize("together", [True, False])
async def test_calls_that_share_an_index_are_told_apart_by_their_ids(together: bool, streamed: Streamed) -> None:
    calls = [call_piece(0, "weather", '{"city": 1}', id="a"), call_piece(0, "weather", '{"city": 2}', id="b")]
    deltas = [{"tool_calls": calls}] if together else [{"tool_calls": [call]} for call in calls]
    events = await streamed([*(stream_chunk(delta) for delta in deltas), stream_chunk({}, finish="tool_calls")])
    assert calls_of(events) == (
        ToolCall(id="a", name="weather", arguments='{"city": 1}'),
        ToolCall(id="b", name="weather", arguments='{"city": 2}'),
    )
    assert {event.index for event in events if isinstance(event, ToolCallDelta)} == {0, 1}


@pytest.mark.parametrize("again", [{"id": "a"}, {}])
async def test_a_name_that_comes_with_each_piece_of_a_call_is_one_name(
    again: dict[str, str], streamed: Streamed
) -> None:
    pieces = [call_piece(0, "weather", '{"city"', id="a"), call_piece(0, "weather", ": 1}", **again)]
    chunks = [stream_chunk({"tool_calls": [piece]}) for piece in pieces]
    events = await streamed([*chunks, stream_chunk({}, finish="tool_calls")])
    assert calls_of(events) == (ToolCall(id="a", name="weather", arguments='{"city": 1}'),)


async def test_calls_of_one_id_are_given_ids_of_their_own(streamed: Streamed, replied: Replied) -> None:
    pieces = [call_piece(0, "weather", "{}", id="a"), call_piece(1, "weather", "{}", id="a")]
    chunks = [stream_chunk({"tool_calls": [piece]}) for piece in pieces]
    events = await streamed([*chunks, stream_chunk({}, finish="tool_calls")])
    assert [call.id for call in calls_of(events)] == ["a", "a_2"]
    assert [event.id for event in events if isinstance(event, ToolCallDelta)] == ["a", "a_2"]
    body = tool_reply("weather", "{}").json
    body["choices"][0]["message"]["tool_calls"] *= 3
    called = (await replied(json.dumps(body).encode())).tool_calls
    assert [call.id for call in called] == ["call_1", "call_1_2", "call_1_3"]


async def test_pieces_of_two_calls_may_come_in_turn(streamed: Streamed) -> None:
    pieces = [
        call_piece(0, "weather", '{"a"', id="a"),
        call_piece(1, "weather", '{"b"', id="b"),
        call_piece(0, None, ": 1}"),
        call_piece(1, None, ": 2}"),
    ]
    chunks = [stream_chunk({"tool_calls": [piece]}) for piece in pieces]
    events = await streamed([*chunks, stream_chunk({}, finish="tool_calls")])
    assert [call.arguments for call in calls_of(events)] == ['{"a": 1}', '{"b": 2}']


@pytest.mark.parametrize("usage", [[1], "none", {"prompt_tokens": "some", "completion_tokens": 12.7}])
async def test_counts_that_are_no_counts_do_not_cost_the_reply(
    usage: object, replied: Replied, streamed: Streamed
) -> None:
    whole = await replied(json.dumps(chat_reply("Fine.").json | {"usage": usage}).encode())
    assert (whole.text, whole.tokens.estimated) == ("Fine.", True)
    last = json.loads(stream_chunk({}, finish="stop").removeprefix(b"data: ")) | {"usage": usage}
    *_, end = await streamed([stream_chunk({"content": "Fine."}), f"data: {json.dumps(last)}\n\n".encode()])
    assert isinstance(end, Done)
    assert (end.response.text, end.response.tokens.estimated) == ("Fine.", True)


async def test_details_that_are_no_counts_leave_the_others(replied: Replied) -> None:
    body = chat_reply("Fine.").json
    body["usage"]["prompt_tokens_details"] = {"cached_tokens": "many"}
    assert (await replied(json.dumps(body).encode())).tokens == Tokens(input=12, output=5)


@pytest.mark.parametrize("field", ["id", "model", "created", "object"])
@pytest.mark.parametrize("value", [None, "x"])
async def test_what_nobody_reads_may_be_anything(field: str, value: object, replied: Replied) -> None:
    assert (await replied(json.dumps(chat_reply("Fine.").json | {field: value}).encode())).text == "Fine."


async def test_a_message_without_a_role_is_the_model_s(replied: Replied) -> None:
    body = chat_reply("Fine.").json
    del body["choices"][0]["message"]["role"], body["choices"][0]["index"]
    assert (await replied(json.dumps(body).encode())).text == "Fine."


@pytest.mark.parametrize(
    ("given", "arguments"), [({"city": "Oslo"}, '{"city": "Oslo"}'), (None, "{}"), ('{"a":1}', '{"a":1}')]
)
async def test_a_call_s_arguments_may_be_json_already(given: object, arguments: str, replied: Replied) -> None:
    body = tool_reply("weather", "").json
    call = body["choices"][0]["message"]["tool_calls"][0]
    del call["type"], call["id"]
    call["function"]["arguments"] = given
    (called,) = (await replied(json.dumps(body).encode())).tool_calls
    assert (called.name, called.arguments) == ("weather", arguments)
    assert called.id


@pytest.mark.parametrize(
    ("code", "kind"), [(429, Failure.BUSY), (401, Failure.KEY), (529, Failure.SERVER), (None, Failure.SERVER)]
)
async def test_an_error_that_comes_as_a_reply_is_that_error(
    code: int | None, kind: Failure, bench: GatewayBench
) -> None:
    async with answering(json.dumps({"error": {"message": "no", "code": code}}).encode()) as bench.client:
        model = await bench.open("https://llm.example.com/v1#m")
        with pytest.raises(ProviderError) as caught:
            await model.respond(ask())
    assert caught.value.kind is kind
    assert {call.cost_usd for call in bench.store.calls} == {0.0}

"""OpenAI's own client over a socket: its strict types, its helpers, and when it asks again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from intelforge.core.chat import (
    ChatResponse,
    Done,
    FinishReason,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    Tokens,
    ToolCall,
    ToolCallDelta,
)
from intelforge.core.errors import BudgetError, BusyError, ErrorCode, IntelForgeError, ModelError, StorageError
from intelforge.testing.api_server import REPLY, ScriptedBackend, served

HELLO: Any = [{"role": "user", "content": "Hello?"}]
TOKENS = Tokens(input=7, output=3)


class Weather(BaseModel):
    city: str


CALL = ToolCall(id="call_1", name="Weather", arguments='{"city": "Bern"}')
BERN = ChatResponse(parts=(Text('{"city": "Bern"}'),), model="mock:one", tokens=TOKENS)
CALLING = ChatResponse(parts=(CALL,), model="mock:one", tokens=TOKENS)


@asynccontextmanager
async def client(backend: ScriptedBackend, *, max_retries: int = 0) -> AsyncIterator[Any]:
    """The client as it checks replies against its types; its overloads say nothing about a server."""
    async with (
        asyncio.timeout(60),
        served(backend) as (host, port),
        openai.AsyncOpenAI(
            base_url=f"http://{host}:{port}/v1",
            api_key="none",
            max_retries=max_retries,
            _strict_response_validation=True,
        ) as api,
    ):
        yield api


async def test_structured_output_is_parsed() -> None:
    async with client(ScriptedBackend(BERN, events=[TextDelta(BERN.text), Done(BERN)])) as api:
        whole = await api.chat.completions.parse(model="auto", messages=HELLO, response_format=Weather)
        async with api.chat.completions.stream(model="auto", messages=HELLO, response_format=Weather) as stream:
            streamed = await stream.get_final_completion()
    assert whole.choices[0].message.parsed == streamed.choices[0].message.parsed == Weather(city="Bern")


async def test_tool_calls_are_parsed() -> None:
    pieces: list[StreamEvent] = [
        ToolCallDelta(index=0, id="call_1", name="Weather", arguments='{"city":'),
        ToolCallDelta(index=0, arguments=' "Bern"}'),
        Done(CALLING),
    ]
    tools = [openai.pydantic_function_tool(Weather)]
    async with client(ScriptedBackend(CALLING, events=pieces)) as api:
        whole = await api.chat.completions.parse(model="auto", messages=HELLO, tools=tools)
        async with api.chat.completions.stream(model="auto", messages=HELLO, tools=tools) as stream:
            streamed = await stream.get_final_completion()
    for choice in (whole.choices[0], streamed.choices[0]):
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls[0].id == "call_1"
        assert choice.message.tool_calls[0].function.parsed_arguments == Weather(city="Bern")


@pytest.mark.parametrize("asked", [True, False])
async def test_usage_comes_last_without_choices_and_only_when_asked_for(asked: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if asked else {}
    async with client(ScriptedBackend(events=[TextDelta("Hello."), Done(REPLY)])) as api:
        stream = await api.chat.completions.create(model="auto", messages=HELLO, stream=True, **options)
        *pieces, last = [piece async for piece in stream]
    assert pieces[0].choices[0].delta.role == "assistant"
    assert all(len(piece.choices) == 1 and piece.usage is None for piece in pieces)
    assert all(("usage" in piece.model_fields_set) == asked for piece in pieces)
    assert (last.choices == [], last.usage is not None) == (asked, asked)


@pytest.mark.parametrize(
    ("reason", "whole", "streamed"),
    [
        (FinishReason.STOP, "stop", "stop"),
        (FinishReason.LENGTH, "length", "length"),
        (FinishReason.REFUSED, "content_filter", "content_filter"),
        (FinishReason.TOOL_CALLS, "tool_calls", "tool_calls"),
        (FinishReason.UNKNOWN, "stop", "length"),
    ],
)
async def test_the_reason_why_a_reply_ended_is_told(reason: FinishReason, whole: str, streamed: str) -> None:
    reply = ChatResponse(parts=(Text("x"),), model="mock:one", finish_reason=reason, tokens=TOKENS)
    async with client(ScriptedBackend(reply, events=[TextDelta("x"), Done(reply)])) as api:
        found = await api.chat.completions.create(model="auto", messages=HELLO)
        stream = await api.chat.completions.create(model="auto", messages=HELLO, stream=True)
        last = [piece async for piece in stream][-1]
    assert (found.choices[0].finish_reason, last.choices[0].finish_reason) == (whole, streamed)
    assert found.intelforge["finish_reason"] == last.intelforge["finish_reason"] == reason.value


@pytest.mark.parametrize("reason", [FinishReason.STOP, FinishReason.UNKNOWN])
async def test_a_reply_of_tool_calls_ended_for_them(reason: FinishReason) -> None:
    reply = ChatResponse(parts=(CALL,), model="mock:one", finish_reason=reason, tokens=TOKENS)
    async with client(ScriptedBackend(reply)) as api:
        found = await api.chat.completions.create(model="auto", messages=HELLO)
    assert found.choices[0].finish_reason == "tool_calls"


async def test_halves_of_characters_break_no_reply() -> None:
    high, low = "\ud83d", "\ude00"
    reply = ChatResponse(parts=(Thinking(low), Text("a" + high)), model="mock:one", tokens=TOKENS, notes=(high,))
    async with client(ScriptedBackend(reply, events=[TextDelta("a" + high), TextDelta(low), Done(reply)])) as api:
        whole = await api.chat.completions.create(model="auto", messages=HELLO)
        stream = await api.chat.completions.create(model="auto", messages=HELLO, stream=True)
        pieces = [piece async for piece in stream]
    assert (whole.choices[0].message.content, whole.choices[0].message.reasoning_content) == ("a�", "�")
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "a😀"
    assert pieces[-1].intelforge["notes"] == ["�"]


def waiting(error: ModelError, seconds: float) -> ModelError:
    error.retry_after = seconds
    return error


@pytest.mark.parametrize(
    ("error", "status", "after"),
    [
        (waiting(ModelError("a:x is asked too often", code=ErrorCode.RATE_LIMITED), 6.2), 429, "7"),
        (ModelError("a:x is asked too often", code=ErrorCode.RATE_LIMITED), 429, None),
        (waiting(ModelError("a:x is left alone"), float("inf")), 502, None),
        (ModelError("a:x took too long", code=ErrorCode.TIMED_OUT), 504, None),
        (BudgetError("no room"), 402, None),
        (IntelForgeError("a fault"), 500, None),
    ],
)
async def test_what_was_tried_enough_is_not_tried_again_by_the_client(
    error: IntelForgeError, status: int, after: str | None
) -> None:
    backend = ScriptedBackend(error)
    async with client(backend, max_retries=2) as api:
        with pytest.raises(openai.APIStatusError) as raised:
            await api.chat.completions.create(model="auto", messages=HELLO)
    assert len(backend.asked) == 1
    assert raised.value.status_code == status
    assert raised.value.response.headers.get("retry-after") == after
    assert raised.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("error", [BusyError("held"), StorageError("full", code=ErrorCode.DISK_FULL)])
async def test_what_may_pass_and_was_tried_once_is_left_to_the_client(error: IntelForgeError) -> None:
    async with client(ScriptedBackend(error)) as api:
        with pytest.raises(openai.APIStatusError) as raised:
            await api.chat.completions.create(model="auto", messages=HELLO)
    assert "x-should-retry" not in raised.value.response.headers


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]]])
async def test_tokens_are_no_texts(given: list[Any]) -> None:
    async with client(ScriptedBackend()) as api:
        with pytest.raises(openai.BadRequestError, match="tokens are not taken"):
            await api.embeddings.create(model="embedder", input=given)


async def test_what_is_not_served_is_said_with_what_is() -> None:
    async with client(ScriptedBackend()) as api:
        with pytest.raises(openai.NotFoundError, match="no POST /v1/completions: ask POST /v1/chat/completions"):
            await api.completions.create(model="auto", prompt="Once")
        with pytest.raises(openai.NotFoundError, match=r"no model 'x{59}"):
            await api.models.retrieve("x" * 20_000)

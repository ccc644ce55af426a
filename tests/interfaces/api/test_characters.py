"""Halves of characters, put together or marked."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.chat import Done, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta
from intelforge.interfaces.api.characters import encoded, whole_characters
from intelforge.testing.api_server import REPLY

HIGH, LOW = "\ud83d", "\ude00"
"""of a smiling face"""


def halves(text: str) -> str:
    """The text with each character beyond U+FFFF in two."""
    units = text.encode("utf-16-le")
    return "".join(chr(int.from_bytes(units[place : place + 2], "little")) for place in range(0, len(units), 2))


def mended(*events: StreamEvent) -> list[StreamEvent]:
    async def given_out() -> AsyncGenerator[StreamEvent, None]:
        for event in (*events, Done(REPLY)):
            yield event

    async def collected() -> list[StreamEvent]:
        return [event async for event in whole_characters(given_out())]

    return asyncio.run(collected())


def said(events: Sequence[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("text", "right"), [(f"a{HIGH}{LOW}b", "a😀b"), (f"a{HIGH}", "a�"), (f"{LOW}b", "�b"), (HIGH + HIGH + LOW, "�😀")]
)
def test_json_has_whole_characters(text: str, right: str) -> None:
    assert json.loads(encoded({"text": text, text: [text]})) == {"text": right, right: [right]}


@given(st.text(), st.integers(min_value=1, max_value=4))
def test_a_text_cut_anywhere_comes_out_whole(text: str, size: int) -> None:
    units = halves(text)
    pieces = [TextDelta(units[start : start + size]) for start in range(0, len(units), size)]
    assert said(mended(*pieces)) == text


def test_a_half_that_stays_alone_is_marked_at_the_end() -> None:
    events = mended(TextDelta("a" + HIGH))
    assert said(events) == "a�"
    assert isinstance(events[-1], Done)


def test_each_text_of_a_stream_has_halves_of_its_own() -> None:
    events = mended(
        TextDelta(HIGH),
        ThinkingDelta(HIGH),
        ToolCallDelta(index=0, id="call_1", name="say", arguments=HIGH),
        ToolCallDelta(index=1, id="call_2", name="say", arguments=HIGH),
        ToolCallDelta(index=0, arguments=LOW),
        TextDelta(LOW),
    )
    assert said(events) == "😀"
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [(call.index, call.id, call.arguments) for call in calls] == [
        (0, "call_1", ""),
        (1, "call_2", ""),
        (0, "", "😀"),
        (1, "", "�"),
    ]
    assert [event.text for event in events if isinstance(event, ThinkingDelta)] == ["", "�"]

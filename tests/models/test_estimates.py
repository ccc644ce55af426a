"""How many tokens a request may take, and which counts can be true."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.chat import ChatRequest, ChatResponse, Image, Message, Role, Text, Tokens, Tool, ToolCall
from intelforge.models.estimates import estimated_tokens, expected_tokens, plausible
from intelforge.testing.gateway import ask

TRUE = Tokens(input=12, output=5)


@pytest.mark.parametrize(
    "tokens",
    [
        Tokens(),
        Tokens(input=-1, output=5),
        Tokens(input=12, output=-5),
        Tokens(input=10**6, output=5),
        Tokens(input=12, output=10**6),
        Tokens(input=12, output=5, cache_read=13),
        Tokens(input=12, output=5, thinking=6),
    ],
)
def test_counts_that_cannot_be_are_noticed(tokens: Tokens) -> None:
    request = ask("What is it?", max_tokens=100)
    assert plausible(TRUE, request)
    assert not plausible(tokens, request)


@given(st.text(max_size=400), st.integers(1, 5000))
def test_one_token_a_byte_and_a_full_reply_can_be_true(text: str, most: int) -> None:
    request = ask(text, max_tokens=most)
    read = len(text.encode("utf-8", "surrogatepass")) + 5
    assert plausible(Tokens(input=read, output=most), request)


@given(st.text(max_size=400))
def test_more_is_expected_of_more(text: str) -> None:
    request = ask(text, max_tokens=10)
    longer = ask(text + "more words", max_tokens=10)
    assert expected_tokens(request).input <= expected_tokens(longer).input
    assert expected_tokens(request).output == 10


def test_tools_schemas_images_and_calls_count() -> None:
    plain = expected_tokens(ask(max_tokens=1)).input
    tool = Tool(name="weather", description="The weather in a city.", parameters={"type": "object"})
    assert expected_tokens(ask(max_tokens=1, tools=(tool,))).input > plain
    assert expected_tokens(ask(max_tokens=1, output_schema={"type": "object"})).input > plain
    picture = Message(role=Role.USER, parts=(Text("What?"), Image(data=b"", media_type="image/png")))
    assert expected_tokens(ChatRequest(messages=(picture,))).input > plain + 1000
    call = Message(role=Role.ASSISTANT, parts=(ToolCall(id="1", name="weather", arguments="x" * 100),))
    assert expected_tokens(ChatRequest(messages=(call,))).input > 50


def test_a_reply_is_estimated_by_what_it_says() -> None:
    response = ChatResponse(parts=(Text("four"), ToolCall(id="1", name="n", arguments='{"a": 1}')), model="a:x")
    assert estimated_tokens(ask(), response).output == 4
    assert estimated_tokens(ask(), replace(response, parts=())).output == 0

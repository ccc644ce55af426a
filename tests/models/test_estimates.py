"""How many tokens a request may take, and which counts can be true."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.chat import ChatRequest, ChatResponse, Image, Message, Part, Role, Text, Tokens, Tool, ToolCall
from intelforge.models.estimates import estimated_tokens, most_tokens, plausible
from intelforge.testing.gateway import ask

MODEL = "openai:gpt-5"
TRUE = Tokens(input=12, output=5)
SAID = ChatResponse(parts=(Text("Fine."),), model=MODEL)


def can_be(tokens: Tokens, request: ChatRequest, response: ChatResponse = SAID) -> bool:
    return plausible(tokens, response, most=most_tokens(request, model=MODEL))


def pictures(*data: bytes) -> ChatRequest:
    parts: tuple[Part, ...] = (Text("What?"), *(Image(data=each, media_type="image/png") for each in data))
    return ChatRequest(messages=(Message(role=Role.USER, parts=parts),), max_tokens=100)


@pytest.mark.parametrize(
    "tokens",
    [
        Tokens(),
        Tokens(input=-1, output=5),
        Tokens(input=12, output=-5),
        Tokens(input=10**6, output=5),
        Tokens(input=12, output=10**6),
        Tokens(input=12, output=117),
        Tokens(input=12, output=5, cache_read=13),
        Tokens(input=12, output=5, thinking=6),
        Tokens(input=12, output=0),
    ],
)
def test_counts_that_cannot_be_are_noticed(tokens: Tokens) -> None:
    request = ask("What is it?", max_tokens=100)
    assert can_be(TRUE, request)
    assert not can_be(tokens, request)


def test_only_an_empty_reply_can_have_taken_nothing_to_write() -> None:
    call = ToolCall(id="1", name="weather", arguments="{}")
    assert can_be(Tokens(input=12), ask(max_tokens=9), replace(SAID, parts=()))
    assert not can_be(Tokens(input=12), ask(max_tokens=9), replace(SAID, parts=(call,)))


@given(st.text(max_size=400), st.integers(1, 5000))
def test_one_token_a_byte_and_a_full_reply_can_be_true(text: str, most: int) -> None:
    request = ask(text, max_tokens=most)
    read = len(text.encode("utf-8", "surrogatepass")) + 5
    assert can_be(Tokens(input=read, output=most), request)


@given(st.text(max_size=400), st.integers(1, 5000), st.builds(Tokens, input=st.integers(), output=st.integers()))
def test_nothing_above_what_is_reserved_can_be_true(text: str, longest: int, tokens: Tokens) -> None:
    request = ask(text, max_tokens=longest)
    most = most_tokens(request, model=MODEL)
    assert not can_be(tokens, request) or (tokens.input <= most.input and tokens.output <= most.output)


@given(st.text(max_size=400))
def test_more_is_reserved_for_more(text: str) -> None:
    request = ask(text, max_tokens=10)
    longer = ask(text + "more words", max_tokens=20)
    most, more = (most_tokens(each, model=MODEL) for each in (request, longer))
    assert most.input < more.input
    assert more.output - most.output == 10


def test_a_reservation_is_not_absurd() -> None:
    most = most_tokens(ask("word " * 100, max_tokens=4096), model=MODEL)
    assert most.input < 500 + 1_100
    assert most.output < 4_200


def test_tools_schemas_images_and_calls_count() -> None:
    def read(request: ChatRequest) -> int:
        return most_tokens(request, model=MODEL).input

    plain = read(ask())
    tool = Tool(name="weather", description="The weather in a city.", parameters={"type": "object"})
    assert read(ask(tools=(tool,))) > plain
    assert read(ask(tools=(replace(tool, description="Погода"),))) == read(
        ask(tools=(replace(tool, description="w" * 12),))
    )
    assert read(ask(output_schema={"type": "object"})) > plain
    assert read(pictures(b"", b"")) - read(pictures(b"")) == 10_000
    call = Message(role=Role.ASSISTANT, parts=(ToolCall(id="1", name="weather", arguments="x" * 100),))
    assert read(ChatRequest(messages=(call,))) > 100


def test_a_picture_is_reserved_as_its_reader_counts_it() -> None:
    for model, most in (("anthropic:claude-opus-4-5", 5_000), ("openai:gpt-4o-mini", 50_000), ("xai:grok-4", 17_000)):
        taken = most_tokens(pictures(b""), model=model).input - most_tokens(pictures(), model=model).input
        assert most * 0.9 < taken < most


def test_a_reply_is_estimated_by_what_it_says() -> None:
    response = ChatResponse(parts=(Text("four"), ToolCall(id="1", name="n", arguments='{"a": 1}')), model="a:x")
    assert estimated_tokens(ask(), response, model=MODEL).output == 4
    assert estimated_tokens(ask(), replace(response, parts=()), model=MODEL).output == 0


def test_pictures_are_estimated_by_their_size() -> None:
    plain, seen = (estimated_tokens(request, SAID, model=MODEL).input for request in (pictures(), pictures(b"")))
    assert seen - plain == 765

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.core.chat import ChatRequest, Message, Role, Text, ToolCall, ToolResult
from intelforge.core.errors import BackendError, BudgetError, EgressError, ErrorCode, IntelForgeError, ModelError
from intelforge.models.window.counting import TokenCounter
from intelforge.models.window.fit import SUMMARY_BEGINS, Fitted, Strategy, Window, fit
from intelforge.models.window.units import units_of

MODEL = "openai:gpt-5"
COUNTER = TokenCounter(MODEL)
ESTIMATED = TokenCounter("ollama:qwen3:8b")


def window(tokens: int, strategy: Strategy = Strategy.OLDEST_FIRST) -> Window:
    return Window(model=MODEL, tokens=tokens, strategy=strategy, keep_last=3, reply_tokens=20)


def talk(turns: int, words: int = 20) -> tuple[Message, ...]:
    roles = (Role.USER, Role.ASSISTANT)
    return tuple(Message.of(roles[turn % 2], f"{turn} " + "word " * words) for turn in range(turns))


async def test_what_fits_is_left_as_it_is() -> None:
    request = ChatRequest(messages=talk(3))
    assert await fit(request, window(10_000), COUNTER) == Fitted(request=request, count=None)


async def test_the_oldest_go_first_and_it_is_said() -> None:
    request = ChatRequest(messages=talk(10))
    fitted = await fit(request, window(120), COUNTER)
    assert 0 < fitted.left_out < 10
    assert fitted.request.messages == request.messages[fitted.left_out :]
    assert f"{fitted.left_out} of 10 messages" in fitted.notes[0]
    assert "oldest-first" in fitted.notes[0]


async def test_a_sliding_window_keeps_the_last_turns_even_when_all_would_fit() -> None:
    request = ChatRequest(messages=(Message.of(Role.SYSTEM, "Be brief."), *talk(10)))
    fitted = await fit(request, window(10_000, Strategy.SLIDING), COUNTER)
    assert fitted.request.messages == (request.messages[0], *request.messages[-3:])
    assert "7 of 11 messages" in fitted.notes[0]


async def test_a_nearly_full_window_is_told() -> None:
    fitted = await fit(ChatRequest(messages=talk(4, words=22)), window(145), COUNTER)
    assert fitted.left_out == 0
    assert "of the window of openai:gpt-5" in fitted.notes[0]


async def test_what_cannot_fit_is_an_error_with_model_window_and_need() -> None:
    request = ChatRequest(messages=(Message.of(Role.USER, "word " * 500),))
    with pytest.raises(ModelError) as raised:
        await fit(request, window(200), COUNTER)
    assert raised.value.error_code is ErrorCode.TOO_LARGE
    assert MODEL in raised.value.message
    assert "200" in raised.value.message
    assert "509" in raised.value.message


async def test_the_last_question_stays_while_an_agent_calls_tools() -> None:
    question = Message.of(Role.USER, "What is the weather?")
    calls = [
        message
        for number in range(6)
        for message in (
            Message(role=Role.ASSISTANT, parts=(ToolCall(id=str(number), name="look", arguments="{}"),)),
            Message(role=Role.TOOL, parts=(ToolResult(id=str(number), name="look", content="rain " * 20),)),
        )
    ]
    fitted = await fit(ChatRequest(messages=(*talk(2), question, *calls)), window(150), COUNTER)
    assert fitted.request.messages[0] == question
    assert fitted.request.messages[-2:] == tuple(calls[-2:])


async def test_a_longer_reply_than_fits_is_bounded_and_it_is_said() -> None:
    request = ChatRequest(messages=(Message.of(Role.USER, "hello"),), max_tokens=5000)
    fitted = await fit(request, window(1000), COUNTER)
    assert fitted.request.max_tokens is not None
    assert fitted.request.max_tokens < 1000
    assert "the reply may take" in fitted.notes[0]


@pytest.mark.parametrize("max_tokens", [None, 900, 5000])
async def test_a_prompt_that_fits_is_not_refused_for_a_long_reply(max_tokens: int | None) -> None:
    request = ChatRequest(messages=(*talk(4), Message.of(Role.USER, "word " * 600)), max_tokens=max_tokens)
    bounded = replace(window(1000), reply_tokens=800, longest_reply=4000)
    fitted = await fit(request, bounded, COUNTER)
    assert fitted.request.messages[-1] == request.messages[-1]
    assert fitted.left_out == 4
    assert fitted.request.max_tokens == 1000 - COUNTER.request(fitted.request).tokens
    assert any("the reply may take" in note for note in fitted.notes)
    with pytest.raises(ModelError):
        await fit(ChatRequest(messages=(Message.of(Role.USER, "word " * 950),)), bounded, COUNTER)


async def test_a_reply_nobody_asked_to_be_long_is_bounded_without_a_word() -> None:
    request = ChatRequest(messages=(Message.of(Role.USER, "word " * 100),))
    fitted = await fit(request, replace(window(1000), longest_reply=4000), COUNTER)
    assert fitted.request.max_tokens == 1000 - COUNTER.request(request).tokens
    assert fitted.notes == ()
    roomy = await fit(request, replace(window(10_000), longest_reply=4000), COUNTER)
    assert roomy.request.max_tokens is None


async def test_a_summary_stands_where_the_oldest_were() -> None:
    asked: list[Sequence[Message]] = []

    async def summarise(messages: Sequence[Message], tokens: int) -> str:
        asked.append(messages)
        return "They counted."

    system = Message.of(Role.SYSTEM, "Be brief.")
    request = ChatRequest(messages=(system, *talk(12)))
    fitted = await fit(request, replace(window(200, Strategy.SUMMARISE), summarise=summarise), COUNTER)
    assert fitted.request.messages[0] == system
    assert fitted.request.messages[1].text == f"{SUMMARY_BEGINS}They counted."
    assert asked[0] == request.messages[1 : 1 + fitted.left_out]
    assert fitted.request.messages[2:] == request.messages[1 + fitted.left_out :]
    assert "a summary stands in their place" in fitted.notes


@pytest.mark.parametrize("reply", ["word " * 300, "   "])
async def test_a_summary_that_does_not_fit_is_left_out_and_it_is_said(reply: str) -> None:
    async def summarise(messages: Sequence[Message], tokens: int) -> str:
        return reply

    bounded = replace(window(200, Strategy.SUMMARISE), summarise=summarise)
    fitted = await fit(ChatRequest(messages=talk(12)), bounded, COUNTER)
    assert not any(message.text.startswith(SUMMARY_BEGINS) for message in fitted.request.messages)
    assert any("summary" in note for note in fitted.notes)


@pytest.mark.parametrize(
    "error",
    [
        ModelError("mock:summary is down"),
        BudgetError("mock:summary is too dear"),
        EgressError("the host mock:summary is not known"),
        BackendError("mock:summary needs a package that is not installed"),
    ],
)
async def test_a_summary_that_fails_is_no_error(error: IntelForgeError) -> None:
    async def summarise(messages: Sequence[Message], tokens: int) -> str:
        raise error

    bounded = replace(window(200, Strategy.SUMMARISE), summarise=summarise)
    fitted = await fit(ChatRequest(messages=talk(12)), bounded, COUNTER)
    assert any(error.message in note for note in fitted.notes)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    messages: list[Message] = []
    for number in range(draw(st.integers(1, 8))):
        text = "word " * draw(st.integers(0, 30))
        pinned = draw(st.sampled_from((True, False, False, False)))
        kind = draw(st.sampled_from(("user", "assistant", "system", "calls")))
        if kind != "calls":
            messages.append(Message.of(Role(kind), f"{number}{text}", pinned=pinned))
            continue
        ids = [f"{number}.{place}" for place in range(draw(st.integers(1, 3)))]
        calls = tuple(ToolCall(id=one, name="look", arguments="{}") for one in ids)
        messages.append(Message(role=Role.ASSISTANT, parts=(Text(text), *calls), pinned=pinned))
        results = [Message(role=Role.TOOL, parts=(ToolResult(id=one, name="look", content=text),)) for one in ids]
        between = draw(st.booleans())
        messages += [*results[:1], *([Message.of(Role.USER, f"{number}?")] if between else []), *results[1:]]
    return tuple(messages)


@settings(max_examples=200, deadline=None)
@given(
    messages=conversations(),
    tokens=st.integers(60, 600),
    strategy=st.sampled_from(Strategy),
    counter=st.sampled_from((COUNTER, ESTIMATED)),
    summary=st.integers(0, 40),
)
async def test_nothing_pinned_is_lost_no_call_is_parted_and_the_room_is_never_exceeded(
    messages: tuple[Message, ...], tokens: int, strategy: Strategy, counter: TokenCounter, summary: int
) -> None:
    async def summarise(gone: Sequence[Message], most: int) -> str:
        return "word " * summary

    request = ChatRequest(messages=messages)
    bounded = replace(window(tokens, strategy), summarise=summarise)
    try:
        fitted = await fit(request, bounded, counter)
    except ModelError as error:
        assert error.error_code is ErrorCode.TOO_LARGE  # noqa: PT017
        return
    kept = [message for message in fitted.request.messages if not message.text.startswith(SUMMARY_BEGINS)]
    places = [next(place for place, one in enumerate(messages) if one is message) for message in kept]
    assert places == sorted(places)
    assert len(kept) + fitted.left_out == len(messages)
    assert bool(fitted.left_out) == any("left out" in note for note in fitted.notes if "messages" in note)
    assert all(message in kept for message in messages if message.pinned or message.role is Role.SYSTEM)
    calls = {part.id for message in kept for part in message.parts if isinstance(part, ToolCall)}
    results = {part.id for message in kept for part in message.parts if isinstance(part, ToolResult)}
    assert calls == results
    units = units_of(messages, list(map(counter.message, messages)))
    essential = {place for unit in units if unit.kept for place in unit.places}
    room = bounded.room(request) if set(places) - essential else bounded.most(request)
    assert counter.request(fitted.request).at_most <= room

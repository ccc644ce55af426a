from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from intelforge.core.chat import ChatRequest, ChatResponse, Done, Message, Role, StreamEvent, Text, TextDelta
from intelforge.models.window.fit import Strategy, Window
from intelforge.models.window.summary import Summaries
from intelforge.models.window.windowed import WindowedModel


@dataclass
class Echo:
    """Says how many turns it was given."""

    name: str = "openai:gpt-5"
    asked: list[ChatRequest] = field(default_factory=list)

    async def respond(self, request: ChatRequest) -> ChatResponse:
        self.asked.append(request)
        said = Text(f"{len(request.messages)} turns")
        return ChatResponse(parts=(said,), model=self.name, notes=("from the model",))

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        response = await self.respond(request)
        yield TextDelta(response.text)
        yield Done(response)


LONG = ChatRequest(messages=tuple(Message.of(Role.USER, "word " * 30) for _ in range(8)))


async def test_a_reply_says_what_was_left_out() -> None:
    model = WindowedModel(Echo(), Window(model="openai:gpt-5", tokens=150, reply_tokens=20))
    reply = await model.respond(LONG)
    assert reply.text == "3 turns"
    assert reply.notes[0].startswith("5 of 8 messages")
    assert reply.notes[-1] == "from the model"


async def test_the_end_of_a_stream_says_it_too() -> None:
    model = WindowedModel(Echo(), Window(model="openai:gpt-5", tokens=150, reply_tokens=20))
    events = [event async for event in model.stream(LONG)]
    assert events[0] == TextDelta("3 turns")
    assert isinstance(events[-1], Done)
    assert events[-1].response.notes[0].startswith("5 of 8 messages")


async def test_summaries_are_written_once_and_go_on_from_the_one_before() -> None:
    writer = Echo()
    summaries = Summaries(writer)
    first, second = (Message.of(Role.USER, text) for text in ("one", "two"))
    assert await summaries([first], 50) == "2 turns"
    assert await summaries([first], 50) == "2 turns"
    assert len(writer.asked) == 1
    await summaries([first, second], 50)
    assert writer.asked[1].messages[-1].text == "summary so far: 2 turns\n\nuser: two"
    assert writer.asked[1].max_tokens == 50


async def test_a_model_that_summarises_is_asked_through_the_window() -> None:
    window = Window(
        model="openai:gpt-5", tokens=200, reply_tokens=20, strategy=Strategy.SUMMARISE, summarise=Summaries(Echo())
    )
    inner = Echo()
    reply = await WindowedModel(inner, window).respond(LONG)
    assert "a summary stands in their place" in reply.notes
    assert "2 turns" in inner.asked[0].messages[0].text

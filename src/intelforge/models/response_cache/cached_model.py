"""A language model that is not asked twice for the same."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from intelforge.models.conversing import ConversingModel
from intelforge.models.response_cache.cache import ResponseCache, with_trouble

PIECE: Final = 64
"""characters of a piece of a replayed stream"""


@dataclass(frozen=True, slots=True)
class CachedModel:
    """Looks into the cache first. Only whole replies are kept: a stream that breaks off, or is left, is not."""

    model: ConversingModel
    cache: ResponseCache

    @property
    def name(self) -> str:
        return self.model.name

    async def respond(self, request: ChatRequest) -> ChatResponse:
        """The kept reply, or the model's."""
        if (kept := await self.cache.find(request, model=self.name)) is not None:
            return kept
        trouble = self.cache.trouble
        response = await self.model.respond(request)
        await self.cache.keep(request, response, model=self.name)
        return with_trouble(response, trouble or self.cache.trouble)

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        """The kept reply in pieces, or the model's stream."""
        if (kept := await self.cache.find(request, model=self.name)) is not None:
            for piece in replayed(kept):
                yield piece
            return
        trouble = self.cache.trouble
        async for event in self.model.stream(request):
            if isinstance(event, Done):
                await self.cache.keep(request, event.response, model=self.name)
                event = Done(with_trouble(event.response, trouble or self.cache.trouble))
            yield event


def replayed(response: ChatResponse) -> list[StreamEvent]:
    """A reply as a stream of events, `Done` at its end."""
    events: list[StreamEvent] = []
    calls = 0
    for part in response.parts:
        match part:
            case Text(text):
                events += [TextDelta(text[at : at + PIECE]) for at in range(0, len(text), PIECE)]
            case Thinking(text):
                events += [ThinkingDelta(text[at : at + PIECE]) for at in range(0, len(text), PIECE)]
            case ToolCall():
                events.append(ToolCallDelta(index=calls, id=part.id, name=part.name, arguments=part.arguments))
                calls += 1
    return [*events, Done(response)]

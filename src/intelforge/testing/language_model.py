"""A language model whose replies are given, for testing what is done with them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from intelforge.core.chat import ChatRequest, ChatResponse, StreamEvent, Text
from intelforge.models.gateway_model import replayed
from intelforge.models.prompting import Prompted


@dataclass(slots=True)
class ScriptedModel(Prompted):
    """A LanguageModel that gives the replies in turn, the last one for ever; an exception among them is raised."""

    replies: Sequence[str | ChatResponse | Exception]
    name: str = "mock:scripted"
    local: bool = True
    prompts: list[str] = field(default_factory=list)
    """what the last turns of its requests said"""
    requests: list[ChatRequest] = field(default_factory=list)
    cost_usd: float | None = 0.0

    async def respond(self, request: ChatRequest) -> ChatResponse:
        reply = self.replies[min(len(self.prompts), len(self.replies) - 1)]
        self.requests.append(request)
        self.prompts.append(request.messages[-1].text)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, ChatResponse):
            return reply
        return ChatResponse(parts=(Text(reply),), model=self.name, cost_usd=self.cost_usd)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        for event in replayed(await self.respond(request), stream=True):
            yield event

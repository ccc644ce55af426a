"""A language model whose requests always fit its window."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from intelforge.core.chat import ChatRequest, ChatResponse, Done, StreamEvent
from intelforge.models.conversing import ConversingModel
from intelforge.models.window.counting import TokenCounter
from intelforge.models.window.fit import Window, fit


@dataclass(slots=True)
class WindowedModel:
    """Fits each request first; what was left out is in the notes of the reply."""

    model: ConversingModel
    window: Window
    counter: TokenCounter = field(init=False)

    def __post_init__(self) -> None:
        self.counter = TokenCounter(self.window.model)

    @property
    def name(self) -> str:
        return self.model.name

    async def respond(self, request: ChatRequest) -> ChatResponse:
        """The reply. Raises ModelError (too_large) for what cannot fit."""
        fitted = await fit(request, self.window, self.counter)
        return _noted(await self.model.respond(fitted.request), fitted.notes)

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        """The reply in pieces, then `Done`. Raises ModelError (too_large) for what cannot fit."""
        fitted = await fit(request, self.window, self.counter)
        async for event in self.model.stream(fitted.request):
            yield Done(_noted(event.response, fitted.notes)) if isinstance(event, Done) else event


def _noted(response: ChatResponse, notes: tuple[str, ...]) -> ChatResponse:
    return replace(response, notes=(*notes, *response.notes)) if notes else response

"""What the parts around the gateway need of a language model: to be asked, whole or in pieces."""

from collections.abc import AsyncIterator
from typing import Protocol

from intelforge.core.chat import ChatRequest, ChatResponse, StreamEvent


class ConversingModel(Protocol):
    """A language model that takes a conversation."""

    @property
    def name(self) -> str:
        """`provider:name`, for example `ollama:qwen3:8b`."""
        ...

    async def respond(self, request: ChatRequest) -> ChatResponse:
        """The reply. Raises ModelError."""
        ...

    def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        """The reply in pieces, then `Done` with the whole of it. Raises ModelError."""
        ...

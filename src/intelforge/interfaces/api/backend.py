"""What the HTTP interface needs of a workspace, which `intelforge.workspace.Workspace` satisfies."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from intelforge.core.chat import Accounting, ChatRequest, ChatResponse, Embedded, ModelName, StreamEvent


class Backend(Protocol):
    """Each raises NotFoundError for a model it does not offer."""

    async def chat(self, request: ChatRequest, *, model: str) -> ChatResponse: ...

    def chat_stream(self, request: ChatRequest, *, model: str) -> AsyncGenerator[StreamEvent, None]: ...

    async def embed(
        self, texts: Sequence[str], *, model: str, accounting: Accounting, local_only: bool = False
    ) -> Embedded: ...

    async def models(self) -> Sequence[ModelName]: ...

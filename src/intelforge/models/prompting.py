"""The plainest use of a language model: a prompt, instructions, and the words of its reply."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from intelforge.core.accounting import accounting_for
from intelforge.core.chat import ChatRequest, ChatResponse, Message, Role, Text

MAX_TOKENS: Final = 1024


def prompt_request(
    prompt: str, *, instructions: str, purpose: str, local_only: bool = False, principals: Sequence[str] = ()
) -> ChatRequest:
    """Asks for a short reply, as much the same each time as the model can."""
    system = (Message.of(Role.SYSTEM, instructions, pinned=True),) if instructions else ()
    return ChatRequest(
        messages=(*system, Message.of(Role.USER, prompt)),
        max_tokens=MAX_TOKENS,
        temperature=0.0,
        accounting=accounting_for(purpose),
        principals=tuple(principals),
        local_only=local_only,
    )


def _stripped(response: ChatResponse) -> ChatResponse:
    """Without white space around its words."""
    kept = tuple(part for part in response.parts if not isinstance(part, Text))
    return replace(response, parts=(*kept, Text(response.text.strip())))


class Prompted(ABC):
    """Gives a language model that replies to requests its reply to a prompt."""

    __slots__ = ()

    @abstractmethod
    async def respond(self, request: ChatRequest) -> ChatResponse:
        """The reply to a request."""

    async def complete(
        self,
        prompt: str,
        *,
        instructions: str,
        purpose: str,
        local_only: bool = False,
        principals: Sequence[str] = (),
    ) -> ChatResponse:
        request = prompt_request(
            prompt, instructions=instructions, purpose=purpose, local_only=local_only, principals=principals
        )
        return _stripped(await self.respond(request))

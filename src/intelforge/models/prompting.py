"""The plainest use of a language model: a prompt, instructions, and the words of its reply."""

from dataclasses import replace
from typing import Final

from intelforge.core.chat import Accounting, ChatRequest, ChatResponse, Message, Role, Text

MAX_TOKENS: Final = 1024


def prompt_request(prompt: str, *, instructions: str, purpose: str) -> ChatRequest:
    """Asks for a short reply, as much the same each time as the model can."""
    system = (Message.of(Role.SYSTEM, instructions, pinned=True),) if instructions else ()
    return ChatRequest(
        messages=(*system, Message.of(Role.USER, prompt)),
        max_tokens=MAX_TOKENS,
        temperature=0.0,
        accounting=Accounting(purpose=purpose),
    )


def stripped(response: ChatResponse) -> ChatResponse:
    """Without white space around its words."""
    kept = tuple(part for part in response.parts if not isinstance(part, Text))
    return replace(response, parts=(*kept, Text(response.text.strip())))

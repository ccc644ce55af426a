"""How many tokens a request may take, and whether the counts that a provider tells can be true."""

import json
from collections.abc import Sequence
from typing import Final

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Image,
    Part,
    Text,
    Thinking,
    Tokens,
    ToolCall,
    ToolResult,
)
from intelforge.models.window.families import family_of
from intelforge.models.window.images import image_tokens, most_image_tokens

BYTES_PER_TOKEN: Final = 3
"""About as many: what is taken when a provider tells no counts."""
MESSAGE_TOKENS: Final = 8
"""that a turn takes beside its words"""
MOST_MESSAGE_TOKENS: Final = 16
MOST_TOOL_TOKENS: Final = 64
"""that a tool takes beside its words"""
MOST_FRAME_TOKENS: Final = 1_000
"""that a provider puts before a conversation: what its model is told of tools, of the date, of how to think"""
MOST_REPLY_MARKS: Final = 16
"""that a reply takes beside the length it may have"""


def most_tokens(request: ChatRequest, *, model: str) -> Tokens:
    """The most that a request to `provider:name` can take, for which is reserved: a token is at least one byte."""
    size, images = _size(request)
    framing = MOST_FRAME_TOKENS + MOST_MESSAGE_TOKENS * len(request.messages) + MOST_TOOL_TOKENS * len(request.tools)
    seen = len(images) * most_image_tokens(family_of(model).name) if images else 0
    return Tokens(input=size + framing + seen, output=(request.max_tokens or 0) + MOST_REPLY_MARKS)


def estimated_tokens(request: ChatRequest, response: ChatResponse, *, model: str) -> Tokens:
    """About what an exchange with `provider:name` took, when the provider does not say."""
    size, images = _size(request)
    turns = MESSAGE_TOKENS * (len(request.messages) + 1)
    seen = sum(image_tokens(family_of(model).name, image.data) for image in images)
    wrote = sum(len(part.text.encode()) for part in response.parts if isinstance(part, Text | Thinking))
    wrote += sum(len(part.arguments.encode()) for part in response.parts if isinstance(part, ToolCall))
    return Tokens(input=size // BYTES_PER_TOKEN + turns + seen, output=wrote // BYTES_PER_TOKEN)


def plausible(tokens: Tokens, response: ChatResponse, *, most: Tokens) -> bool:
    """Whether counts can be true: nothing above the most that was reserved for, and no words for nothing."""
    counts = (tokens.input, tokens.output, tokens.cache_read, tokens.cache_write, tokens.thinking)
    inside = tokens.cache_read + tokens.cache_write <= tokens.input and tokens.thinking <= tokens.output
    wrote = tokens.output > 0 or not response.parts
    whole = all(type(count) is int for count in counts)
    return (
        whole
        and min(counts) >= 0
        and 0 < tokens.input <= most.input
        and tokens.output <= most.output
        and inside
        and wrote
    )


def _size(request: ChatRequest) -> tuple[int, Sequence[Image]]:
    """Bytes of what is said, and the images."""
    parts = [part for message in request.messages for part in message.parts]
    size = sum(_bytes(_words(part)) for part in parts)
    size += sum(_bytes(json.dumps(dict(tool.parameters)) + tool.name + tool.description) for tool in request.tools)
    size += len(json.dumps(dict(request.output_schema))) if request.output_schema else 0
    return size, [part for part in parts if isinstance(part, Image)]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _words(part: Part) -> str:
    match part:
        case Text() | Thinking():
            return part.text
        case ToolCall():
            return part.name + part.arguments
        case ToolResult():
            return part.name + part.content
        case Image():
            return ""

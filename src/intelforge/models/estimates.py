"""How many tokens a request may take, and whether the counts that a provider tells can be true."""

import json
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

BYTES_PER_TOKEN: Final = 3
"""About as many: what is taken when a provider tells no counts."""
MESSAGE_TOKENS: Final = 8
"""that a turn takes beside its words"""
IMAGE_TOKENS: Final = 2_000
PLAUSIBLE_IMAGE_TOKENS: Final = 100_000


def expected_tokens(request: ChatRequest) -> Tokens:
    """The most that a request can take: a token is at least one byte."""
    return Tokens(input=_input(request, bytes_per_token=1), output=request.max_tokens or 0)


def estimated_tokens(request: ChatRequest, response: ChatResponse) -> Tokens:
    """About what an exchange took, when its provider does not say."""
    wrote = sum(len(part.text.encode()) for part in response.parts if isinstance(part, Text | Thinking))
    wrote += sum(len(part.arguments.encode()) for part in response.parts if isinstance(part, ToolCall))
    return Tokens(input=_input(request, bytes_per_token=BYTES_PER_TOKEN), output=wrote // BYTES_PER_TOKEN)


def _input(request: ChatRequest, *, bytes_per_token: int) -> int:
    size, images = _size(request)
    turns = MESSAGE_TOKENS * (len(request.messages) + 1)
    return size // bytes_per_token + turns + images * IMAGE_TOKENS


def plausible(tokens: Tokens, request: ChatRequest) -> bool:
    """Whether counts can be true: a token is at least one byte, and a reply is no longer than was allowed."""
    size, images = _size(request)
    most_read = 2 * size + 1_000 * (len(request.messages) + len(request.tools) + 1) + images * PLAUSIBLE_IMAGE_TOKENS
    most_written = 4 * (request.max_tokens or 0) + 1_000
    inside = tokens.cache_read + tokens.cache_write <= tokens.input and tokens.thinking <= tokens.output
    counts = (tokens.input, tokens.output, tokens.cache_read, tokens.cache_write, tokens.thinking)
    return min(counts) >= 0 and 0 < tokens.input <= most_read and tokens.output <= most_written and inside


def _size(request: ChatRequest) -> tuple[int, int]:
    """Bytes of what is said, and the number of images."""
    parts = [part for message in request.messages for part in message.parts]
    size = sum(len(_words(part).encode("utf-8", "surrogatepass")) for part in parts if not isinstance(part, Image))
    size += sum(len(json.dumps(dict(tool.parameters))) + len(tool.name + tool.description) for tool in request.tools)
    size += len(json.dumps(dict(request.output_schema))) if request.output_schema else 0
    return size, sum(isinstance(part, Image) for part in parts)


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

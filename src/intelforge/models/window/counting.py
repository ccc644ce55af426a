"""Tokens of texts, turns, tools and whole requests, by a model's family."""

import functools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from intelforge.core.chat import ChatRequest, Image, Message, Part, Text, Thinking, Tool, ToolCall, ToolResult
from intelforge.models.window.families import family_of
from intelforge.models.window.features import features_of
from intelforge.models.window.images import image_tokens

REMEMBERED: Final = 4096
"""texts whose count is kept, so that a conversation is not counted anew at each turn"""
PRIMING: Final = 4
"""tokens that begin the reply"""
TOOL: Final = 12
"""tokens a tool costs beside its words"""
TOOLS: Final = 30
"""tokens that say there are tools"""
CALL: Final = 10
"""tokens a call or a result costs beside its words"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A number of tokens, and how sure it is."""

    tokens: int
    error: float = 0.0
    """share of the true count that it may be off by, at the 95th percentile; 0.0 is exact"""

    @property
    def at_most(self) -> int:
        """With the error added: what is planned with."""
        return math.ceil(self.tokens * (1 + self.error))

    def __add__(self, other: "Count") -> "Count":
        tokens = self.tokens + other.tokens
        weighed = self.error * self.tokens + other.error * other.tokens
        return Count(tokens=tokens, error=weighed / tokens if tokens else 0.0)


NOTHING: Final = Count(tokens=0)


class TokenCounter:
    """Counts for one model, named `provider:name`. Marks of chat templates are part of the count."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.family = family_of(model)
        self.text = functools.lru_cache(maxsize=REMEMBERED)(self._text)
        """the count of a text"""

    def message(self, message: Message) -> Count:
        """Of one turn."""
        return add((Count(tokens=self.family.message), *(self._part(part) for part in message.parts)))

    def frame(self, request: ChatRequest) -> Count:
        """Of what a request holds beside its turns: tools, the schema of the reply, and what begins the reply."""
        parts = [Count(tokens=PRIMING)]
        if request.tools and request.tool_choice != "none":
            parts += [Count(tokens=TOOLS), *(self.tool(tool) for tool in request.tools)]
        if request.output_schema is not None:
            parts += [Count(tokens=TOOL), self.text(_json(request.output_schema))]
        return add(parts)

    def tool(self, tool: Tool) -> Count:
        """Of a tool's name, description and parameters."""
        return add((Count(tokens=TOOL), self.text(f"{tool.name}\n{tool.description}\n{_json(tool.parameters)}")))

    def request(self, request: ChatRequest) -> Count:
        """Of all of it."""
        return add((self.frame(request), *(self.message(message) for message in request.messages)))

    def _part(self, part: Part) -> Count:
        match part:
            case Text(text) | Thinking(text):
                return self.text(text)
            case Image():
                return Count(tokens=image_tokens(self.family.name, part.data))
            case ToolCall():
                return self.text(f"{part.name}{part.arguments}") + Count(tokens=CALL)
            case ToolResult():
                return self.text(f"{part.name}{part.content}") + Count(tokens=CALL)

    def _text(self, text: str) -> Count:
        family = self.family
        error = family.error if text.isascii() else family.error_beyond_ascii
        return Count(tokens=family.tokens(features_of(text)), error=error)


def bytes_of(request: ChatRequest) -> int | None:
    """A bound on a request's tokens that needs no tokenizer: none makes more tokens than UTF-8 has bytes.

    None with pictures, whose tokens have nothing to do with their bytes.
    """
    total = PRIMING + TOOLS
    for message in request.messages:
        total += 2 * CALL
        for part in message.parts:
            if isinstance(part, Image):
                return None
            total += 2 * CALL + _bytes(part)
    tools = sum(TOOL + len(f"{tool.name}{tool.description}{_json(tool.parameters)}".encode()) for tool in request.tools)
    schema = TOOL + len(_json(request.output_schema).encode()) if request.output_schema is not None else 0
    return total + tools + schema


def add(counts: Iterable[Count]) -> Count:
    """Their sum, with the mean of their errors by tokens."""
    return functools.reduce(Count.__add__, counts, NOTHING)


def _bytes(part: Part) -> int:
    match part:
        case Text(text) | Thinking(text):
            words = text
        case ToolCall():
            words = part.name + part.arguments
        case ToolResult():
            words = part.name + part.content
        case _:
            return 0
    return len(words.encode("utf-8", "surrogatepass"))


def _json(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))

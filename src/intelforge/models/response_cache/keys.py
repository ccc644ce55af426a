"""Which requests are cached, under which key, and which replies.

A reply is kept for those who may see what it was made from: the key holds the user, the team and the access list of the
caller beside everything that the reply depends on. Whom else the call was for, and how long it may take, do not count.
"""

import hashlib
import json
import unicodedata
from dataclasses import dataclass, replace
from typing import Any, Final

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    Image,
    Message,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

LIVE: Final = ("probe", "bench")
"""purposes of calls that measure a model: a kept reply would measure nothing"""
SCRIPTED: Final = "mock:"
VERSION: Final = 1
"""of the key: counts up when what it is made from changes"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is cached."""

    any_temperature: bool = False
    """also what was asked for with a temperature above zero, where another reply may be wanted each time"""
    tool_calls: bool = False
    """also replies that call tools: off, because an agent that asks again wants to go on, not round in a circle"""

    def refuses_request(self, request: ChatRequest, *, model: str) -> str:
        """Why a request is not looked up; empty when it is."""
        if request.temperature and not self.any_temperature:
            return f"its temperature is {request.temperature:g}"
        if model.startswith(SCRIPTED):
            return "its replies are scripted, and may change with each call"
        if request.accounting.purpose in LIVE:
            return "it measures the model"
        return "" if request.messages else "it says nothing"

    def refuses_response(self, response: ChatResponse) -> str:
        """Why a reply is not kept; empty when it is. Errors never come this far."""
        if response.cached:
            return "it comes from the cache"
        if response.tool_calls:
            return "" if self.tool_calls and response.finish_reason is not FinishReason.LENGTH else "it calls tools"
        if response.finish_reason is not FinishReason.STOP:
            return f"it ended by {response.finish_reason.value}"
        return "" if response.text.strip() else "it is empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Who may be given a kept reply."""

    user: str = ""
    team: str = ""
    principals: tuple[str, ...] = ()
    """the caller's access list, in any order"""

    @classmethod
    def of(cls, request: ChatRequest) -> "Scope":
        told = request.accounting
        return cls(user=told.user, team=told.team, principals=request.principals)

    @property
    def digest(self) -> bytes:
        """32 bytes that stand for it."""
        return _digest(["scope", self.user, self.team, sorted(set(self.principals))])


def request_key(request: ChatRequest, *, model: str) -> bytes:
    """32 bytes that stand for a request to a model by whoever asks."""
    return _digest([VERSION, Scope.of(request).digest.hex(), model, _normal(request)])


def frame_key(request: ChatRequest, *, model: str) -> bytes | None:
    """The same without the words of the last question, for finding questions that differ in those alone.

    None where there is more to it than words: tools, pictures, or a last turn that is not the user's.
    """
    question = question_of(request)
    if question is None:
        return None
    last = replace(request.messages[-1], parts=(Text(""),))
    framed = replace(request, messages=(*request.messages[:-1], last))
    return _digest([VERSION, "frame", Scope.of(request).digest.hex(), model, _normal(framed)])


def question_of(request: ChatRequest) -> str | None:
    """The words of the last turn, where it is the user's and of words alone, and no tools are offered."""
    if request.tools or not request.messages:
        return None
    last = request.messages[-1]
    if last.role is not Role.USER or not all(isinstance(part, Text) for part in last.parts):
        return None
    return _plain(last.text) or None


def _normal(request: ChatRequest) -> list[Any]:
    tools = sorted([tool.name, tool.description, _sorted(tool.parameters)] for tool in request.tools)
    return [
        [[message.role.value, [_part(part) for part in _joined(message)]] for message in request.messages],
        tools,
        request.tool_choice if tools else "",
        None if request.output_schema is None else _sorted(request.output_schema),
        [request.max_tokens, request.temperature or 0.0, request.top_p, sorted(request.stop), request.seed],
    ]


def _joined(message: Message) -> list[Part]:
    """The parts, with texts that follow each other as one."""
    joined: list[Part] = []
    for part in message.parts:
        if isinstance(part, Text) and joined and isinstance(joined[-1], Text):
            joined[-1] = Text(joined[-1].text + part.text)
        else:
            joined.append(part)
    return joined


def _part(part: Part) -> list[str]:
    match part:
        case Text(text):
            return ["text", _plain(text)]
        case Thinking(text):
            return ["thinking", text]
        case Image():
            return ["image", part.media_type, hashlib.sha256(part.data).hexdigest()]
        case ToolCall():
            return ["call", part.id, part.name, part.arguments]
        case ToolResult():
            return ["result", part.id, part.name, part.content]


def _plain(text: str) -> str:
    """One way to write the same characters, without blanks around them."""
    return unicodedata.normalize("NFC", text).strip()


def _sorted(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)


def _digest(value: list[Any]) -> bytes:
    return hashlib.sha256(_sorted(value).encode()).digest()

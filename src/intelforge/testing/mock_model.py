"""The language models behind `mock:` URLs: scripted or played back, no network, no cost, the same each time.

mock:                a sentence that cites the first passage
mock:TEXT            the URL-decoded text
mock:script=FILE     replies by rules, see `read_script`
mock:replay=FILE     what was recorded with `llm_record`
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    Part,
    StreamEvent,
    Text,
    TextDelta,
    Tokens,
    ToolCall,
    ToolCallDelta,
)
from intelforge.core.errors import ConfigError
from intelforge.models.failures import Failure, failure
from intelforge.models.protocol import Abilities, ModelClient
from intelforge.models.recording import Recording

DEFAULT_REPLY: Final = "The first passage answers this [1]."
NAME: Final = "mock"
FAULTS: Final = (
    "busy",
    "server",
    "unreachable",
    "broken",
    "timeout",
    "malformed",
    "key",
    "credit",
    "missing",
    "rejected",
)
_KNOWN: Final[Mapping[str, Any]] = {
    "when": str,
    "reply": str,
    "tool": dict,
    "fault": str,
    "retry_after": float | int | None,
    "after_pieces": int,
    "times": int,
    "tokens": dict | None,
    "finish": str,
}
"""what a rule may say, and its type"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A reply, and to what it is given."""

    when: re.Pattern[str] | None = None
    """found in what the last turn says"""
    reply: str = ""
    tool: ToolCall | None = None
    fault: str = ""
    """a class of failures, `stall`, or empty for none"""
    retry_after: float | None = None
    after_pieces: int = 0
    """of the reply come before the fault"""
    times: int = 0
    """how often the rule holds; 0 for always"""
    tokens: Tokens | None = None
    """what is told; None for a count of words"""
    finish: FinishReason = FinishReason.STOP


@dataclass(slots=True)
class MockModel:
    """A ModelClient that replies by the first rule that holds."""

    rules: Sequence[Rule]
    abilities: Abilities = field(default_factory=Abilities)
    requests: list[ChatRequest] = field(default_factory=list)
    """what it was asked"""
    _used: dict[int, int] = field(default_factory=dict)

    async def send(self, request: ChatRequest, *, stream: bool, timeout: float) -> AsyncGenerator[StreamEvent, None]:
        self.requests.append(request)
        rule = self._rule(request)
        response = _response(rule, request)
        pieces = _pieces(response)
        before = pieces[: rule.after_pieces] if rule.fault else pieces
        if stream:
            for piece in before:
                yield piece
        if rule.fault == "stall":
            await asyncio.Event().wait()
        if rule.fault:
            raise failure(
                Failure(rule.fault),
                f"{NAME}: failed as its script says ({rule.fault})",
                hint="change the script",
                retry_after=rule.retry_after,
            )
        yield Done(response)

    def _rule(self, request: ChatRequest) -> Rule:
        said = request.messages[-1].text if request.messages else ""
        for index, rule in enumerate(self.rules):
            used = self._used.get(index, 0)
            if (rule.when is None or rule.when.search(said)) and (not rule.times or used < rule.times):
                self._used[index] = used + 1
                return rule
        return Rule(reply=DEFAULT_REPLY)


@dataclass(frozen=True, slots=True)
class ReplayedModel:
    """A ModelClient that plays a recording back."""

    recording: Recording
    name: str
    abilities: Abilities = field(default_factory=Abilities)

    def redact_with(self, hide: Callable[[Any], Any]) -> None:
        """See Redacting."""
        self.recording.hide = hide

    async def send(self, request: ChatRequest, *, stream: bool, timeout: float) -> AsyncGenerator[StreamEvent, None]:
        response = self.recording.reply(request, name=self.name)
        if stream:
            for piece in _pieces(response):
                yield piece
        yield Done(response)


def open_model(url: str) -> ModelClient:
    """The model that a `mock:` URL names. Raises ConfigError for a file that cannot be read."""
    rest = url.partition(":")[2]
    kind, equals, place = rest.partition("=")
    if equals and kind == "replay":
        return ReplayedModel(Recording.read(Path(place).expanduser(), os.environ), url)
    if equals and kind == "script":
        return MockModel(read_script(Path(place).expanduser()))
    return MockModel([Rule(reply=unquote(rest) or DEFAULT_REPLY)])


def read_script(path: Path) -> list[Rule]:
    """The rules of a JSON file `{"rules": [{…}, …]}`, of which the first that holds counts.

    A rule may have: `when` (a regular expression to be found in the last turn), `reply`, `tool` (`name`, `arguments`),
    `fault` (busy, server, unreachable, broken, timeout, malformed, key, credit, missing, rejected, stall) with
    `retry_after` (seconds) and `after_pieces` (of the reply that come before it), `times` (how often it holds),
    `tokens` (`input`, `output`; null to tell none) and `finish`. Raises ConfigError.
    """
    try:
        rules = json.loads(path.read_text(encoding="utf-8"))["rules"]
        return [_read_rule(rule) for rule in rules]
    except OSError as error:
        raise ConfigError(f"the script {path} cannot be read: {error.strerror}", hint="check its name") from error
    except (ValueError, KeyError, TypeError, re.error) as error:
        raise ConfigError(f"the script {path} is not understood: {error}", hint="see docs/models.md") from error


def _read_rule(value: Mapping[str, Any]) -> Rule:
    if unknown := set(value) - _KNOWN.keys():
        raise ValueError(f"a rule has no {', '.join(sorted(unknown))}")
    counts = [("tokens", count, int) for count in (value.get("tokens") or {}).values()]
    for name, given, kind in [*((name, given, _KNOWN[name]) for name, given in value.items()), *counts]:
        if not isinstance(given, kind):
            raise TypeError(f"{name} may not be {given!r}")
    fault = value.get("fault", "")
    if fault not in ("", "stall", *FAULTS):
        raise ValueError(f"there is no fault {fault!r}")
    tool = value.get("tool")
    told = value.get("tokens", {})
    return Rule(
        when=re.compile(value["when"]) if "when" in value else None,
        reply=value.get("reply", ""),
        tool=ToolCall(id="", name=tool["name"], arguments=json.dumps(tool.get("arguments", {}))) if tool else None,
        fault=fault,
        retry_after=value.get("retry_after"),
        after_pieces=value.get("after_pieces", 0),
        times=value.get("times", 0),
        tokens=Tokens(estimated=True) if told is None else Tokens(**told) if told else None,
        finish=FinishReason(value.get("finish", "tool_calls" if tool else "stop")),
    )


def _response(rule: Rule, request: ChatRequest) -> ChatResponse:
    parts: list[Part] = [Text(rule.reply)] if rule.reply else []
    if rule.tool:
        calls = sum(isinstance(part, ToolCall) for message in request.messages for part in message.parts)
        parts.append(ToolCall(id=f"call_{calls + 1}", name=rule.tool.name, arguments=rule.tool.arguments))
    read = sum(len(message.text.split()) for message in request.messages)
    tokens = rule.tokens or Tokens(input=max(1, read), output=max(1, len(rule.reply.split())))
    return ChatResponse(parts=tuple(parts), model=NAME, finish_reason=rule.finish, tokens=tokens)


def _pieces(response: ChatResponse) -> list[StreamEvent]:
    """Words, each with the white space after it, then tool calls."""
    found: list[StreamEvent] = [TextDelta(word) for word in re.findall(r"\s*\S+\s*", response.text)]
    for index, call in enumerate(response.tool_calls):
        found.append(ToolCallDelta(index=index, id=call.id, name=call.name, arguments=call.arguments))
    return found

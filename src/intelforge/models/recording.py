"""Exchanges written to a file and played back, so that a run can be had again without its models.

A file has one JSON object a line: the key of the request in its normal form, the request, and the reply or the error.
The length a reply is limited to is not part of the key. Secrets are written as `***` wherever they stand.
"""

import difflib
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    Part,
    StreamEvent,
    Text,
    Thinking,
    Tokens,
    ToolCall,
)
from intelforge.core.errors import ConfigError, ErrorCode, IntelForgeError, ModelError, StorageError
from intelforge.models.hiding import Hiding
from intelforge.models.normal_form import fingerprint, normal_form, part_form
from intelforge.models.prompting import Prompted
from intelforge.models.protocol import LanguageModel

_COUNTS: Final = ("input", "output", "cache_read", "cache_write", "thinking")


Hide = Callable[[Any], Any]
"""takes the secrets out of JSON values"""


class Recorder:
    """Appends exchanges to a file, each when it is over, without the secrets that there are."""

    def __init__(self, path: str, secrets: Mapping[str, str]) -> None:
        self._path = Path(path).expanduser()
        self._hide = Hiding(secrets)

    def record(self, request: ChatRequest, outcome: ChatResponse | IntelForgeError) -> None:
        """Raises StorageError when the file cannot be written."""
        form = recorded_form(request, self._hide)
        line = {"key": fingerprint(form), "request": form, **self._hide(_outcome(outcome))}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")  # in ASCII: a model also writes halves of characters
        except OSError as error:
            raise StorageError(
                f"the recording {self._path} cannot be written: {error.strerror}",
                hint="check its folder, or unset llm_record",
            ) from error


@dataclass(frozen=True, slots=True)
class RecordedModel(Prompted):
    """A language model whose exchanges are recorded."""

    inner: LanguageModel
    recorder: Recorder

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def local(self) -> bool:
        return self.inner.local

    async def respond(self, request: ChatRequest) -> ChatResponse:
        try:
            response = await self.inner.respond(request)
        except IntelForgeError as error:
            self.recorder.record(request, error)
            raise
        self.recorder.record(request, response)
        return response

    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        try:
            async with aclosing(self.inner.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Done):
                        self.recorder.record(request, event.response)
                    yield event
        except IntelForgeError as error:
            self.recorder.record(request, error)
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One line of a recording."""

    line: int
    request: Mapping[str, Any]
    response: ChatResponse | ModelError


@dataclass(slots=True)
class Recording:
    """A recording, read. The same request gives its replies in turn, the last one for ever."""

    path: Path
    hide: Hide
    """what it was recorded with, so that the same requests are the same"""
    _by_key: dict[str, list[Recorded]] = field(default_factory=lambda: defaultdict(list))
    _given: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @classmethod
    def read(cls, path: Path, environment: Mapping[str, str]) -> "Recording":
        """Raises ConfigError when the file is not there or is no recording."""
        found = cls(path, Hiding(environment))
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the recording {path} cannot be read", hint="make one: set llm_record to a file and run"
            ) from error
        for number, line in enumerate(lines, 1):
            if line.strip():
                found._add(number, line)
        return found

    def reply(self, request: ChatRequest, *, name: str) -> ChatResponse:
        """What was replied to this request. Raises the error that was, or ModelError naming the nearest request."""
        form = recorded_form(request, self.hide)
        key = fingerprint(form)
        known = self._by_key.get(key)
        if not known:
            raise self._not_recorded(form, name)
        recorded = known[min(self._given[key], len(known) - 1)]
        self._given[key] += 1
        if isinstance(recorded.response, ModelError):
            raise recorded.response
        return recorded.response

    def _add(self, number: int, line: str) -> None:
        try:
            value = json.loads(line)
            recorded = Recorded(line=number, request=dict(value["request"]), response=_read(value))
            self._by_key[value["key"]].append(recorded)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{self.path} is no recording: line {number} cannot be read", hint="record it again (llm_record)"
            ) from error

    def _not_recorded(self, form: Mapping[str, Any], name: str) -> ModelError:
        every = [recorded for group in self._by_key.values() for recorded in group]
        asked = _words(form)
        nearest = max(every, key=lambda one: _likeness(asked, _words(one.request)), default=None)
        if nearest is None:
            told = "it is empty"
        else:
            share = _likeness(asked, _words(nearest.request))
            differs = _difference(form, nearest.request)
            told = f"the nearest is line {nearest.line}, {share:.0%} alike; it differs in {differs}"
        return ModelError(
            f"{name} has no exchange for this request: {told}",
            hint="record the run again (llm_record), or ask what was asked then",
            code=ErrorCode.MISSING_MODEL,
        )


def recorded_form(request: ChatRequest, hide: Hide) -> dict[str, Any]:
    """The normal form of a request, as it is written to a recording."""
    form: dict[str, Any] = hide(normal_form(request))
    form.pop("max_tokens", None)
    return form


def _outcome(outcome: ChatResponse | IntelForgeError) -> dict[str, Any]:
    if isinstance(outcome, IntelForgeError):
        return {"error": {"code": outcome.error_code.value, "message": outcome.message, "hint": outcome.hint}}
    return {
        "reply": {
            "model": outcome.model,
            "parts": [part_form(part) for part in outcome.parts],
            "finish_reason": outcome.finish_reason.value,
            "tokens": {name: getattr(outcome.tokens, name) for name in _COUNTS},
            "cost_usd": outcome.cost_usd,
            "notes": list(outcome.notes),
        }
    }


def _read(value: Mapping[str, Any]) -> ChatResponse | ModelError:
    if "error" in value:
        error = value["error"]
        return ModelError(error["message"], hint=error["hint"], code=ErrorCode(error["code"]))
    reply = value["reply"]
    return ChatResponse(
        parts=tuple(_part(part) for part in reply["parts"]),
        model=reply["model"],
        finish_reason=FinishReason(reply["finish_reason"]),
        tokens=Tokens(**reply["tokens"]),
        notes=tuple(reply["notes"]),
    )


def _part(value: Mapping[str, Any]) -> Part:
    if "tool_call" in value:
        return ToolCall(id=value["id"], name=value["tool_call"], arguments=value["arguments"])
    return Thinking(value["thinking"]) if "thinking" in value else Text(value["text"])


def _words(form: Mapping[str, Any]) -> str:
    """What the last turn says."""
    messages = form.get("messages", [])
    return json.dumps(messages[-1], ensure_ascii=False)[:2000] if messages else ""


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() if one != other else 1.0


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Where two forms differ, by the names of their fields."""
    names = [name for name in {**one, **other} if name != "messages" and one.get(name) != other.get(name)]
    mine, theirs = one.get("messages", []), other.get("messages", [])
    places = [
        index for index in range(max(len(mine), len(theirs))) if mine[index : index + 1] != theirs[index : index + 1]
    ]
    found = [f"message {index + 1}" for index in places[:3]] + names
    return ", ".join(found) or "nothing that is compared"

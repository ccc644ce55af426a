"""Replies that depart from OpenAI's form, brought back to it where it is plain what they mean.

Servers that speak as OpenAI does leave fields out, write counts as words, number all calls of a stream 0, or tell the
counts with every piece.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS: Final = ("prompt_tokens_details", "completion_tokens_details")


def mended(reply: Mapping[str, Any], *, form: str) -> dict[str, Any]:
    """A reply of the form `chat.completion`, or a piece of one, with what it lacks and without what are no counts."""
    found = dict(reply) | {"object": form, "usage": _usage(reply.get("usage"))}
    for name, fallback in (("id", ""), ("model", ""), ("created", 0)):
        if not isinstance(reply.get(name), type(fallback)):
            found[name] = fallback
    choices = reply.get("choices")
    if isinstance(choices, list):
        found["choices"] = [_choice(choice) for choice in choices]
    return found


def _usage(told: object) -> dict[str, Any] | None:
    if not isinstance(told, Mapping) or not all(_is_count(told.get(name)) for name in _COUNTS):
        return None
    return {name: value for name, value in told.items() if name not in _DETAILS or _are_counts(value)}


def _are_counts(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_count(one) for one in value.values())


def _is_count(value: object) -> bool:
    return value is None or isinstance(value, int)


def _choice(choice: Any) -> Any:
    if not isinstance(choice, Mapping) or not isinstance(message := choice.get("message"), Mapping):
        return choice
    found = {"role": "assistant", **message}
    if isinstance(calls := message.get("tool_calls"), list):
        found["tool_calls"] = [_call(call) for call in calls]
    return {"index": 0, **choice, "message": found}


def _call(call: Any) -> Any:
    if not isinstance(call, Mapping) or not isinstance(called := call.get("function"), Mapping):
        return call
    given = called.get("arguments")
    arguments = given if isinstance(given, str) else json.dumps({} if given is None else given)
    return {**call, "id": call.get("id") or "", "type": "function", "function": {**called, "arguments": arguments}}


class Pieces(AsyncStream[ChatCompletionChunk]):
    """A stream in which each tool call has an index of its own, and the counts are told once, at the end.

    Several providers tell with each piece what was read and written so far; the last is what it took.
    """

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        return self._iterator  # the SDK's own goes through one generator more for each piece

    async def __stream__(self) -> AsyncGenerator[ChatCompletionChunk, None]:
        told, calls = None, _Calls()
        inner: Any = super().__stream__()  # an async generator, declared as less
        async with aclosing(inner) as pieces:
            async for piece in pieces:
                if piece.usage is not None:
                    told = piece
                    if not piece.choices:
                        continue
                    piece = piece.model_copy(update={"usage": None})
                calls.tell_apart(piece)
                yield piece
        if told is not None:
            yield told.model_copy(update={"choices": []})


@dataclass(slots=True)
class _Known:
    index: int
    id: str
    named: bool


@dataclass(slots=True)
class _Calls:
    """The tool calls of a stream by the index that the provider gave them last."""

    _known: dict[int, _Known] = field(default_factory=dict)
    _count: int = 0

    def tell_apart(self, piece: ChatCompletionChunk) -> None:
        """Gives each call its own index, and its name once."""
        for choice in piece.choices or ():
            if (delta := choice.delta) and (calls := delta.tool_calls):
                for call in calls:
                    self._place(call)

    def _place(self, call: ChoiceDeltaToolCall) -> None:
        name = call.function.name if call.function else None
        known = self._known.get(call.index)
        if known is None or (name and known.named and _is_another(call.id, known.id)):
            known = self._known[call.index] = _Known(self._count, "", named=False)
            self._count += 1
        elif name and known.named and call.function:
            call.function.name = None
        known.id, known.named = call.id or known.id, known.named or bool(name)
        call.index = known.index


def _is_another(one: str | None, known: str) -> bool:
    """Whether a call that is named belongs to another id, or where there are none is named once more."""
    return one != known if one else not known

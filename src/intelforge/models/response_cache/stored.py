"""A reply as it is kept: what it says and what it took, without what belongs to one occasion."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from intelforge.core.chat import ChatResponse, FinishReason, Part, Text, Thinking, Tokens, ToolCall

_CHECK: Final = 4
"""bytes of checksum before the reply"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A reply out of the cache."""

    parts: tuple[Part, ...]
    model: str
    finish_reason: FinishReason
    tokens: Tokens
    """what it took to make"""
    cost_usd: float | None
    """what it cost to make"""
    at: float
    """seconds since the epoch"""
    notes: tuple[str, ...] = ()
    """what is true of the reply whenever it is given: what was left out of its request"""


def pack(response: ChatResponse, *, at: float) -> bytes:
    """A reply as bytes, with a checksum."""
    tokens = {name: getattr(response.tokens, name) for name in ("input", "output", "thinking")}
    data = {
        "parts": [packed for part in response.parts if (packed := _packed(part))],
        "model": response.model,
        "finish": response.finish_reason.value,
        "tokens": tokens,
        "cost": response.cost_usd,
        "at": at,
        "notes": list(response.notes),
    }
    body = json.dumps(data, separators=(",", ":")).encode()
    return zlib.crc32(body).to_bytes(_CHECK, "big") + body


def unpack(data: object) -> Kept | None:
    """The reply; None for what is none, or not the one that was written."""
    if not isinstance(data, bytes) or zlib.crc32(data[_CHECK:]).to_bytes(_CHECK, "big") != data[:_CHECK]:
        return None
    try:
        value = json.loads(data[_CHECK:])
        return Kept(
            parts=tuple(_unpacked(part) for part in value["parts"]),
            model=value["model"],
            finish_reason=FinishReason(value["finish"]),
            tokens=Tokens(**value["tokens"]),
            cost_usd=value["cost"],
            at=float(value["at"]),
            notes=tuple(value.get("notes", ())),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _packed(part: Part) -> dict[str, str] | None:
    match part:
        case Text(text):
            return {"text": text}
        case Thinking(text):
            return {"thinking": text}
        case ToolCall():
            return {"call": part.id, "name": part.name, "arguments": part.arguments}
        case _:
            return None  # models reply with nothing else


def _unpacked(part: Mapping[str, Any]) -> Part:
    if "text" in part:
        return Text(part["text"])
    if "thinking" in part:
        return Thinking(part["thinking"])
    return ToolCall(id=part["call"], name=part["name"], arguments=part["arguments"])

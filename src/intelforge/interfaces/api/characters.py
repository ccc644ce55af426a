"""Text as UTF-8 can say it. Models and the servers before them also write halves of characters (lone surrogates)."""

import codecs
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

from intelforge.core.chat import Done, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta

Piece = TextDelta | ThinkingDelta | ToolCallDelta

UTF_16: Final = "utf-16-le"
"""in which two halves, one after the other, are one character"""


def encoded(content: Any) -> bytes:
    """The JSON. Two halves become the character that they are, a lone one U+FFFD."""
    try:
        return to_json(content)
    except PydanticSerializationError:
        return _bytes(json.dumps(content, ensure_ascii=False)).decode(UTF_16, "replace").encode()


async def whole_characters(events: AsyncGenerator[StreamEvent, None]) -> AsyncGenerator[StreamEvent, None]:
    """The pieces of a stream, a character that is split between two of them whole in the second."""
    decoders: dict[Piece, codecs.IncrementalDecoder] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Done):
                for place, decoder in decoders.items():
                    if rest := decoder.decode(b"", True):
                        yield _saying(place, rest)
                yield event
                return
            place = _place(event)
            if place not in decoders:
                decoders[place] = codecs.getincrementaldecoder(UTF_16)("replace")
            yield _saying(event, decoders[place].decode(_bytes(_text(event))))


def _bytes(text: str) -> bytes:
    return text.encode(UTF_16, "surrogatepass")


def _place(piece: Piece) -> Piece:
    """An empty piece of the same text."""
    return ToolCallDelta(index=piece.index) if isinstance(piece, ToolCallDelta) else _saying(piece, "")


def _text(piece: Piece) -> str:
    return piece.arguments if isinstance(piece, ToolCallDelta) else piece.text


def _saying(piece: Piece, text: str) -> Piece:
    return replace(piece, arguments=text) if isinstance(piece, ToolCallDelta) else replace(piece, text=text)

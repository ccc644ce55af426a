"""JSON and JSON Lines: the text is the source; members of the outermost object or list are its blocks."""

import json
import re
from collections.abc import Iterator

from intelforge.refine.media import JSON_LINES
from intelforge.refine.plain import paragraphs
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.text import decode

_BLANK = re.compile(r"[ \t\n\r]*")
_LINE = re.compile(r"[^\n]*\S[^\n]*")


def extract_json(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """What is not valid JSON is taken as text. Raises ItemError when the item is empty."""
    decoded = decode(data, declared=charset)
    blocks = _lines(decoded.text) if media_type == JSON_LINES else _members_or_text(decoded.text)
    return Extracted(text=decoded.text, blocks=blocks, media_type=media_type, metadata=decoded.metadata)


def _lines(text: str) -> tuple[Block, ...]:
    return tuple(Block(start=match.start(), end=match.end(), kind="table_row") for match in _LINE.finditer(text))


def _members_or_text(text: str) -> tuple[Block, ...]:
    try:
        return tuple(_members(text))
    except (ValueError, RecursionError):
        return paragraphs(text, kind="code")


def _members(text: str) -> Iterator[Block]:
    """One block for each member, with its key, if any, as heading. Raises ValueError where the JSON is not valid."""
    decoder = json.JSONDecoder()
    position = _skip(text, 0)
    opening = text[position : position + 1]
    if opening not in ("{", "["):
        raise ValueError("a single value")
    closing = {"{": "}", "[": "]"}[opening]
    position = _skip(text, position + 1)
    while text[position : position + 1] != closing:
        start, key = position, ""
        if opening == "{":
            key, position = decoder.raw_decode(text, position)
            position = _skip(text, _after(text, _skip(text, position), ":"))
        _, position = decoder.raw_decode(text, position)
        yield Block(start=start, end=position, kind="code", heading=_heading(key))
        position = _skip(text, position)
        if text[position : position + 1] != closing:
            position = _skip(text, _after(text, position, ","))


def _skip(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _after(text: str, position: int, mark: str) -> int:
    if text[position : position + 1] != mark:
        raise ValueError(f"no {mark!r} at {position}")
    return position + 1


def _heading(key: object) -> str:
    return " ".join(str(key).encode("utf-8", "replace").decode().split()).replace(" > ", " / ")[:100]

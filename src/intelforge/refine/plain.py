"""Plain text and source without a grammar: paragraphs between blank lines."""

import re

from intelforge.refine.media import language_of
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.text import decode, source_charset

_PARAGRAPH = re.compile(r"\S(?:[^\n]|\n(?![ \t]*(?:\n|\Z)))*")


def extract_plain(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when the item is empty."""
    language = language_of(media_type)
    decoded = decode(data, declared=charset or (source_charset(data) if language else None))
    return Extracted(
        text=decoded.text,
        blocks=paragraphs(decoded.text, kind="code" if language else "paragraph"),
        media_type=media_type,
        language=language,
        metadata=decoded.metadata,
    )


def paragraphs(text: str, *, kind: str = "paragraph") -> tuple[Block, ...]:
    """One block for every run of lines without a blank line."""
    return tuple(Block(start=match.start(), end=match.end(), kind=kind) for match in _PARAGRAPH.finditer(text))

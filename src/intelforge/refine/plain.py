"""Plain text and source without a grammar: paragraphs between blank lines."""

import re

from intelforge.refine.media import language_of
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.text import decode, source_charset

_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


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
    ends = [match.span() for match in _BLANK_LINES.finditer(text)]
    starts = [0, *(end for _, end in ends)]
    spans = zip(starts, [*(start for start, _ in ends), len(text)], strict=True)
    return tuple(Block(start=start, end=end, kind=kind) for start, end in spans if text[start:end].strip())

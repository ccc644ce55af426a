"""reStructuredText: the text is the source; underlined titles give the headings, blank lines the blocks."""

import re
from collections.abc import Iterator

from intelforge.refine.plain import paragraphs
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.text import decode
from intelforge.refine.writer import join_headings

_TITLE = re.compile(
    r"^(?P<over>(?P<mark>[!-/:-@\[-`{-~])(?P=mark){2,}[ \t]*\n)?"
    r"(?P<title>[ \t]*[^\s][^\n]*)\n(?P<under>([!-/:-@\[-`{-~])\5{2,})[ \t]*$",
    re.MULTILINE,
)


def extract_rst(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when the item is empty."""
    decoded = decode(data, declared=charset)
    titles = list(_titles(decoded.text))
    return Extracted(
        text=decoded.text,
        blocks=tuple(_blocks(decoded.text, titles)),
        media_type=media_type,
        title=titles[0][2] if titles else "",
        metadata=decoded.metadata,
    )


def _titles(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, title and style of each heading; its level is the order in which its style first appears."""
    for match in _TITLE.finditer(text):
        title, under, over = match["title"].strip(), match["under"], match["over"] or ""
        if len(under) >= min(len(title), 4) and (not over or over[0] == under[0]) and set(title) != {under[0]}:
            yield match.start(), match.end(), title, under[0] + over[:1]


def _blocks(text: str, titles: list[tuple[int, int, str, str]]) -> Iterator[Block]:
    styles: list[str] = []
    path: list[str] = []
    position = 0
    for start, end, title, style in [*titles, (len(text), len(text), "", "")]:
        heading = join_headings(path)
        for block in paragraphs(text[position:start]):
            yield Block(start=position + block.start, end=position + block.end, heading=heading)
        if title:
            if style not in styles:
                styles.append(style)
            path = [*path[: styles.index(style)], title]
            yield Block(start=start, end=end, kind="heading", heading=join_headings(path))
        position = end

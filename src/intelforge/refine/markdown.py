"""Markdown: the text is the source itself, so that lines are those of the file; its structure gives the blocks."""

import re
from itertools import accumulate

from markdown_it import MarkdownIt
from markdown_it.token import Token

from intelforge.refine.plain import paragraphs
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.text import decode
from intelforge.refine.writer import join_headings

MAX_PARSED = 4_000_000
"""characters; a longer text is taken by its paragraphs, because the parser is slow"""

MAX_HEADING = 300
"""characters of a heading that are looked at"""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.*?)[\"']?[ \t]*$", re.MULTILINE)
_INLINE_MARK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}|<[^>]+>")
_KINDS = {
    "paragraph_open": "paragraph",
    "fence": "code",
    "code_block": "code",
    "html_block": "paragraph",
    "blockquote_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "tr_open": "table_row",
}


def extract_markdown(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when the item is empty."""
    decoded = decode(data, declared=charset)
    blocks, title = structure(decoded.text)
    return Extracted(text=decoded.text, blocks=blocks, media_type=media_type, title=title, metadata=decoded.metadata)


def structure(text: str) -> tuple[tuple[Block, ...], str]:
    """The blocks of a Markdown text under their headings, and its title: of the front matter, or the first heading."""
    if len(text) > MAX_PARSED:
        return paragraphs(text), ""
    front = _FRONT_MATTER.match(text)
    offset = front.end() if front else 0
    named = _FRONT_TITLE.search(front[1]) if front else None
    first = [Block(start=0, end=offset, kind="code")] if front else []
    blocks, headings = _blocks(text, offset)
    title = named[1] if named else min(headings, key=lambda heading: heading[0], default=(0, ""))[1]
    return (*first, *blocks), title


def _blocks(text: str, offset: int) -> tuple[list[Block], list[tuple[int, str]]]:
    body = text[offset:]
    starts = [offset, *accumulate((len(line) + 1 for line in body.split("\n")), initial=offset)][1:]
    blocks: list[Block] = []
    headings: list[tuple[int, str]] = []
    path: list[tuple[int, str]] = []
    tokens = _parser().parse(body)
    for index, token in enumerate(tokens):
        kind = "heading" if token.type == "heading_open" else _KINDS.get(token.type)
        if kind is None or token.map is None or not _is_top(token):
            continue
        if kind == "heading":
            level = int(token.tag[1:])
            path = [entry for entry in path if entry[0] < level]
            name = plain_heading(tokens[index + 1].content)
            if name:
                path.append((level, name))
                headings.append((level, name))
        start, end = starts[token.map[0]], min(starts[token.map[1]], len(text))
        blocks.append(Block(start=start, end=end, kind=kind, heading=join_headings(name for _, name in path)))
    return blocks, headings


def _is_top(token: Token) -> bool:
    """Rows stand two or three levels deep in their table; every other block is taken whole at the top."""
    return token.level == 0 or token.type == "tr_open"


def plain_heading(source: str) -> str:
    """A heading without its inline marks: `**Use** [it](x)` gives `Use it`."""
    return " ".join(_INLINE_MARK.sub(lambda match: match[1] or "", source[:MAX_HEADING]).split())


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table").disable("inline")

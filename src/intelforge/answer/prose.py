"""Finds the running text in Markdown, reStructuredText, plain text and comments: paragraphs and list items.

Headings, code, tables, directives, badges and link definitions are not running text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

Span = tuple[int, int]

_FENCE: Final = re.compile(r"\s*(`{3,}|~{3,})")
_HEADING: Final = re.compile(r"#{1,6}\s+(?P<title>.*?)\s*#*\s*$")
_QUOTED: Final = re.compile(r"\s*(?!>>>)(?:>\s?)+(?=[^>\s])")
_UNDERLINE: Final = re.compile(r"\s*([=\-~^\"'*+#.:_])\1{2,}\s*$")
_ITEM: Final = re.compile(r"\s*(?:[-*+•]|\(?\d{1,3}[.)]|[a-zA-Z]\))\s+(?=\S)")
_FIELD: Final = re.compile(r"\s*(?:[:@]\w[\w ,*.]*:?|\.\. [\w-]+:: ?|\w[\w.*]* ?(?:\([\w ,.\[\]|]*\))?:)(?=\s+\S)")
LONGEST_STRUCTURED: Final = 2000
"""characters; a longer line is running text, whatever it begins with"""
_NOT_PROSE: Final = re.compile(
    r"""\s*(?:
        \||.*\|\s*$|[+=][-=+ ]{3,}$|.*-{3,}\|      # tables
        |!?\[!\[.*|!\[[^\]]*\]\([^)]*\)\s*$       # badges and images
        |\[[^\]]*\]:\s|\.\.\s|:[\w-]+:\s*$         # link definitions, directives
        |</?\w[^>]*>\s*$|<!--.*|-->               # lone tags
        |>>>|\.\.\.\s|\$\s|%\s                     # examples of code
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProseBlock:
    """A paragraph or list item: the spans of its lines in the text, markers and margins left out."""

    lines: tuple[Span, ...]
    heading: str = ""


def lines_of(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """The spans of the lines, line ends left out."""
    end = len(text) if end is None else end
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield start, stop
        start = stop + 1


def prose_blocks(text: str, lines: Iterable[Span], *, indented_code: bool = False) -> Iterator[ProseBlock]:
    """The running text in these lines. `indented_code`: four spaces after a blank line mean code, as in Markdown."""
    return _Scanner(text, list(lines), indented_code).blocks()


class _Scanner:
    """Reads lines in order, keeping the paragraph being gathered and what surrounds it."""

    def __init__(self, text: str, lines: Sequence[Span], indented_code: bool) -> None:
        self._text = text
        self._lines = lines
        self._indented_code = indented_code
        self._open: list[Span] = []
        self._heading = ""
        self._in_list = False

    def blocks(self) -> Iterator[ProseBlock]:
        fence = ""
        skip_deeper_than: int | None = None
        for place, (start, end) in enumerate(self._lines):
            if quoted := _QUOTED.match(self._text, start, end):
                start = quoted.end()
            line = self._text[start:end]
            mark = _FENCE.match(line)
            if fence:
                fence = "" if mark and mark[1].startswith(fence) else fence
                continue
            if skip_deeper_than is not None and line.strip():
                if _indent(line) > skip_deeper_than:
                    continue
                skip_deeper_than = None
            if mark:
                fence = mark[1]
                self._in_list = self._in_list and _indent(line) > 0
                yield from self._close()
            elif not line.strip():
                yield from self._close()
                if self._literal_follows(place):
                    skip_deeper_than = self._indent_before(place)
            else:
                yield from self._line(place, start, end, line)
        yield from self._close()

    def _line(self, place: int, start: int, end: int, line: str) -> Iterator[ProseBlock]:
        if len(line) > LONGEST_STRUCTURED:
            self._open.append((start + _indent(line), end))
            return
        heading = _HEADING.match(line)
        if heading or self._is_title(place):
            yield from self._close()
            self._heading = heading["title"] if heading else line.strip()
            self._in_list = False
        elif _UNDERLINE.match(line) or _NOT_PROSE.match(line):
            self._in_list = self._in_list and _indent(line) > 0
            yield from self._close()
        elif item := _ITEM.match(line):
            yield from self._close()
            self._in_list = True
            self._open = [(start + item.end(), end)]
        elif _FIELD.match(line) and self._may_begin(line):
            yield from self._close()
            self._open = [(start + _indent(line), end)]
        elif self._is_code(line):
            return
        else:
            self._in_list = self._in_list and (bool(self._open) or _indent(line) > 0)
            self._open.append((start + _indent(line), end))

    def _may_begin(self, line: str) -> bool:
        """Whether a line such as `timeout: seconds to wait` is a field of its own, not a sentence going on."""
        if not self._open or line.lstrip()[0] in ":@.":
            return True
        first, last = self._text[slice(*self._open[0])], self._text[slice(*self._open[-1])]
        return last.rstrip().endswith((".", "!", "?", ":")) or bool(_FIELD.match(first))

    def _is_code(self, line: str) -> bool:
        return self._indented_code and not self._open and not self._in_list and _indent(line) >= 4

    def _is_title(self, place: int) -> bool:
        """Whether the next line underlines this one, and this one is a line of its own."""
        if self._open or place + 1 >= len(self._lines):
            return False
        start, end = self._lines[place + 1]
        return bool(_UNDERLINE.match(self._text, start, end))

    def _literal_follows(self, place: int) -> bool:
        """Whether the paragraph before this blank line ends in `::`, as reStructuredText announces literal text."""
        start, end = self._lines[place - 1] if place else (0, 0)
        return self._text[start:end].rstrip().endswith("::")

    def _indent_before(self, place: int) -> int:
        start, end = self._lines[place - 1]
        return _indent(self._text[start:end])

    def _close(self) -> Iterator[ProseBlock]:
        if self._open:
            yield ProseBlock(lines=tuple(self._open), heading=self._heading)
            self._open = []


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())

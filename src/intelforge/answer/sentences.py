"""Sentences of a document with exact spans: in prose, and in the docstrings, comments and signatures of code."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Final

from intelforge.answer.prose import Span, lines_of, prose_blocks
from intelforge.answer.source_code import BRACES, HASHES, PYTHON, code_regions

READ_WHOLE: Final = 100_000
"""Characters of a document up to which it is read as a whole."""
MARGIN: Final = 10_000
"""Characters read on both sides of a span of a longer one."""

_SUFFIXES: Final = {
    PYTHON: "py pyi pyx",
    BRACES: "c h cc cpp cxx hpp cs java js jsx mjs cjs ts tsx go rs kt swift scala php css",
    HASHES: "sh bash rb yaml yml toml cfg ini pl r",
}
_FAMILIES: Final = {f".{suffix}": family for family, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_MARKUP: Final = frozenset((".md", ".markdown", ".rst", ".txt", ".html", ".htm", ".pdf", ".docx", ".epub", ".eml", ""))

_END: Final = re.compile(r"[.!?…]+[\"'”’)\]*_`]*(?=\s)|[。！？]+[」』”]*")
_NEVER_LAST: Final = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|Fig|No|Mr|Mrs|Ms|Dr|Prof|St|resp|approx|[A-Z])\.)$")
_SELDOM_LAST: Final = re.compile(r"\b(?:etc|al|Inc|Ltd|Co|Corp|Jr|Sr|a\.m|p\.m)\.$")
_BEGINS: Final = re.compile(r"[\"'“‘(\[`*_<:]*(?:[A-Z0-9]|[^\x00-\x7f]|\w+[_.(]\w*|[-–—:@$/%~|&+{])|[`*\"'“‘(\[]")
_LINK: Final = re.compile(r"!?\[([^\]\[]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_RST_LINK: Final = re.compile(r"`([^`<]+?)\s*<[^>`]+>`_{1,2}")
_MARKS: Final = re.compile(r"\*\*|``|</?[a-zA-Z][^<>]*>")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_STATEMENT: Final = re.compile(
    r"\s*(?:(?:from|import|return|raise|assert|del|print|yield|await|elif|else|try|except|finally)\b[^.!?]*[:()=\]]\s*$"
    r"|(?:from|import)\s+[\w.]+(?:\s+(?:as|import)\s+[\w.*, ()]+)?$"
    r"|(?:if|for|while|with|def|class|async)\b.*:\s*$|[\w.\[\]\"']+\s*[-+*/|&]?=(?!=)|[\w.]+\([^.!?]*\)\s*$|[@{}<])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSentence:
    """A sentence where it stands: `document_text[start:end]` is the quote, `text` is the quote made readable."""

    start: int
    end: int
    text: str
    kind: str = "prose"
    """prose, docstring, comment, signature"""
    heading: str = ""
    """the heading or code symbol it stands under"""


def sentences_of(text: str, *, location: str = "", kind: str = "text") -> list[TextSentence]:
    """The sentences of a whole document, in order and not overlapping.

    `location` tells by its suffix how to read the text; `kind` (text, code, table) decides when the suffix does not.
    """
    suffix = PurePosixPath(location.partition("?")[0]).suffix.lower()
    family = _FAMILIES.get(suffix) or (None if suffix in _MARKUP or kind != "code" else HASHES)
    found = _in_code(text, family) if family else _in_prose(text, suffix)
    return sorted(found, key=lambda sentence: sentence.start)


def sentences_in(text: str, spans: Sequence[Span], *, location: str = "", kind: str = "text") -> list[TextSentence]:
    """The sentences that lie in any of these spans of a document, in order.

    Of a very long document only the surroundings of the spans are read, from a definition on where there is one:
    starting within a docstring, code would be taken for words and words for code.
    """
    found: dict[int, TextSentence] = {}
    for begin, stop in _windows(text, spans):
        for each in sentences_of(text[begin:stop], location=location, kind=kind):
            found[begin + each.start] = replace(each, start=begin + each.start, end=begin + each.end)
    inside = (each for each in found.values() if any(s <= each.start and each.end <= e for s, e in spans))
    return sorted(inside, key=lambda each: each.start)


def _windows(text: str, spans: Sequence[Span]) -> list[Span]:
    if len(text) <= READ_WHOLE:
        return [(0, len(text))]
    return [(_window_start(text, start), min(len(text), end + MARGIN)) for start, end in spans]


def _window_start(text: str, start: int) -> int:
    floor = max(0, start - MARGIN)
    definitions = (text.rfind(word, floor, start) for word in ("\ndef ", "\n    def ", "\nasync def ", "\nclass "))
    found = max(definitions)
    return found + 1 if found >= 0 else text.rfind("\n", 0, floor) + 1


def _in_prose(text: str, suffix: str) -> Iterator[TextSentence]:
    indented_code = suffix in (".md", ".markdown")
    for block in prose_blocks(text, lines_of(text), indented_code=indented_code):
        yield from _sentences(text, block.lines, "prose", block.heading)


def _in_code(text: str, family: str) -> Iterator[TextSentence]:
    for region in code_regions(text, family):
        if region.kind == "signature":
            start, end = region.lines[0][0], region.lines[-1][1]
            yield TextSentence(
                start=start, end=end, text=" ".join(text[start:end].split()), kind="signature", heading=region.symbol
            )
            continue
        for block in prose_blocks(text, region.lines):
            yield from _sentences(text, block.lines, region.kind, region.symbol)


def _sentences(text: str, lines: Sequence[Span], kind: str, heading: str) -> Iterator[TextSentence]:
    """The sentences of one paragraph given by the spans of its lines."""
    joined = "\n".join(text[start:end] for start, end in lines)
    begins = list(accumulate((end - start + 1 for start, end in lines), initial=0))

    def offset(at: int) -> int:
        line = bisect_right(begins, at) - 1
        return lines[line][0] + at - begins[line]

    for first, last in split_sentences(joined):
        readable = _readable(joined[first:last], markup=kind == "prose")
        if is_sentence(readable):
            yield TextSentence(start=offset(first), end=offset(last - 1) + 1, text=readable, kind=kind, heading=heading)


def split_sentences(text: str) -> Iterator[Span]:
    """The spans of the sentences of one paragraph, surrounding white space left out."""
    begin = 0
    for end in _END.finditer(text):
        if end[0][0] in "。！？" or _is_boundary(text, end.end()):
            yield from _strip(text, begin, end.end())
            begin = end.end()
    yield from _strip(text, begin, len(text))


def _is_boundary(text: str, end: int) -> bool:
    before, after = text[max(0, end - 12) : end], text[end : end + 100].lstrip()
    if _NEVER_LAST.search(before.rstrip("\"'”’)]*_`")):
        return False
    if _SELDOM_LAST.search(before):
        return after[:1].isupper()
    return not after or bool(_BEGINS.match(after))


def _strip(text: str, start: int, end: int) -> Iterator[Span]:
    content = text[start:end]
    if content.strip():
        yield end - len(content.lstrip()), start + len(content.rstrip())


def _readable(quote: str, *, markup: bool) -> str:
    if markup:
        quote = _MARKS.sub("", _RST_LINK.sub(r"\1", _LINK.sub(r"\1", quote)))
    return " ".join(quote.split())


def is_sentence(text: str) -> bool:
    """Whether a span reads as a sentence: three words or more, mostly letters, not a line of code."""
    if _STATEMENT.match(text):
        return False
    letters = sum(map(str.isalpha, text))
    wide = sum(character > "\u2e7f" for character in text)
    return (len(_WORD.findall(text)) >= 3 or wide >= 6) and letters >= 0.6 * len(text.replace(" ", ""))

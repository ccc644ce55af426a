"""Sentences of a document with exact spans: in prose, and in the docstrings, comments and signatures of code."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from intelforge.answer.prose import Span, lines_of, prose_blocks
from intelforge.answer.source_code import BRACES, HASHES, PYTHON, code_regions

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
    for first, last in split_sentences(joined):
        readable = _readable(joined[first:last], markup=kind == "prose")
        if is_sentence(readable):
            yield TextSentence(
                start=_offset(lines, first), end=_offset(lines, last - 1) + 1, text=readable, kind=kind, heading=heading
            )


def _offset(lines: Sequence[Span], at: int) -> int:
    """Where the character at `at` of the joined lines stands in the text."""
    for start, end in lines:
        if at <= end - start:
            return start + at
        at -= end - start + 1
    raise IndexError(at)


def split_sentences(text: str) -> Iterator[Span]:
    """The spans of the sentences of one paragraph, surrounding white space left out."""
    begin = 0
    for end in _END.finditer(text):
        if end[0][0] in "。！？" or _is_boundary(text, end.end()):
            yield from _strip(text, begin, end.end())
            begin = end.end()
    yield from _strip(text, begin, len(text))


def _is_boundary(text: str, end: int) -> bool:
    before, after = text[max(0, end - 12) : end], text[end:].lstrip()
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

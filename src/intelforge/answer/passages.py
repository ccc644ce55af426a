"""Hits widened for reading: whole paragraphs with exact spans, overlapping ones merged, numbered for citing."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from intelforge.answer.protocol import Library
from intelforge.core.errors import NotFoundError
from intelforge.core.values import Hit, Passage

WIDEN: Final = 400
"""Characters a hit may grow on each side to end where its paragraph ends."""
REACH: Final = 2000
"""Characters back within which a hit in the body of a definition takes in its head: signature and docstring."""
MAX_PASSAGE: Final = 4000
"""Characters up to which neighbouring hits become one passage."""

_DEFINITION: Final = re.compile(
    r"^([ \t]*)(?:(?:export|public|private|protected|static|async|pub)[ ]+)*"
    r"(?:def|class|func|function|fn|impl|interface|struct|trait)\b",
    re.MULTILINE,
)
_BEGINS: Final = re.compile(r"\s*(?:@|#|//|/\*)")


@dataclass(slots=True)
class _Extent:
    """A growing span of one document; `hit` is the best of the hits in it and `rank` that hit's rank."""

    start: int
    end: int
    rank: int
    hit: Hit


def line_range(text: str, start: int, end: int) -> tuple[int, int]:
    """First and last line, 1-based, of `text[start:end]`; `\\n` ends lines, an empty span lies in one."""
    first = text.count("\n", 0, start) + 1
    return first, first + text.count("\n", start, max(start, end - 1))


async def read_documents(hits: Sequence[Hit], library: Library) -> dict[str, str]:
    """The texts of the hits' documents by id; without those that went away since the search."""
    ids = list(dict.fromkeys(hit.chunk.document_id for hit in hits))
    texts = await asyncio.gather(*(_read(document_id, library) for document_id in ids))
    return {document_id: text for document_id, text in zip(ids, texts, strict=True) if text is not None}


async def _read(document_id: str, library: Library) -> str | None:
    try:
        return await library.text(document_id)
    except NotFoundError:
        return None


def make_passages(hits: Sequence[Hit], texts: dict[str, str], *, limit: int) -> tuple[Passage, ...]:
    """At most `limit` passages, best first; `texts[p.document_id][p.start:p.end] == p.text` for each.

    A hit whose span is not in its document (an index behind its database) is left out.
    """
    extents: list[_Extent] = []
    for document_id, text in texts.items():
        found = [(rank, hit) for rank, hit in enumerate(hits) if hit.chunk.document_id == document_id]
        extents += _merged(text, [(rank, hit) for rank, hit in found if _holds(text, hit)])
    extents.sort(key=lambda extent: extent.rank)
    return tuple(
        _passage(number, extent, texts[extent.hit.chunk.document_id])
        for number, extent in enumerate(extents[:limit], start=1)
    )


def _holds(text: str, hit: Hit) -> bool:
    chunk = hit.chunk
    return bool(chunk.text.strip()) and text[chunk.start : chunk.end] == chunk.text


def _merged(text: str, found: Sequence[tuple[int, Hit]]) -> list[_Extent]:
    """The widened spans of one document's hits, in order, none overlapping another."""
    extents: list[_Extent] = []
    for rank, hit in sorted(found, key=lambda each: (each[1].chunk.start, each[1].chunk.end)):
        start, end = _widened(text, hit.chunk.start, hit.chunk.end)
        start = _definition_start(text, start) if hit.chunk.kind == "code" else start
        last = extents[-1] if extents else None
        if last is not None and end <= last.end:
            _join(last, last.end, rank, hit)
        elif last is not None and not text[last.end : start].strip() and end - last.start <= MAX_PASSAGE:
            _join(last, end, rank, hit)
        else:
            start = _skip_blank_lines(text, max(start, last.end if last else 0), end)
            if start < end:
                extents.append(_Extent(start, end, rank, hit))
    return extents


def _join(extent: _Extent, end: int, rank: int, hit: Hit) -> None:
    extent.end = end
    if rank < extent.rank:
        extent.rank, extent.hit = rank, hit


def _widened(text: str, start: int, end: int) -> tuple[int, int]:
    """The span grown to the blank lines, or else the line ends, around it, without blank lines at its ends."""
    end = start + len(text[start:end].rstrip())
    blank = text.rfind("\n\n", max(0, start - WIDEN), start + 1)
    line = text.rfind("\n", max(0, start - WIDEN), start)
    floor = max(0, start - WIDEN)
    begin = blank + 2 if blank >= 0 else line + 1 if line >= 0 else 0 if floor == 0 else start
    blank = text.find("\n\n", end, end + WIDEN)
    line = text.rfind("\n", end, end + WIDEN)
    stop = blank if blank >= 0 else len(text) if len(text) <= end + WIDEN else line if line >= 0 else end
    begin = _skip_blank_lines(text, min(begin, start), end)
    return begin, begin + len(text[begin : max(stop, end)].rstrip())


def _definition_start(text: str, start: int) -> int:
    """Where the definition begins whose body `start` lies in, if that is near; `start` when it begins one itself."""
    if _DEFINITION.match(text, start) or _BEGINS.match(text, start):
        return start
    floor = max(0, start - REACH)
    indent = len(text[start : start + REACH]) - len(text[start : start + REACH].lstrip())
    for found in reversed(list(_DEFINITION.finditer(text, floor, start))):
        if len(found[1]) < indent:
            return found.start()
    return start


def _skip_blank_lines(text: str, start: int, end: int) -> int:
    """The beginning of the first line, at or after `start`, that is not blank: its indentation is kept."""
    content = end - len(text[start:end].lstrip())
    line = text.rfind("\n", start, content)
    return line + 1 if line >= 0 else start


def _passage(number: int, extent: _Extent, text: str) -> Passage:
    hit = extent.hit
    first, last = line_range(text, extent.start, extent.end)
    return Passage(
        number=number,
        document_id=hit.chunk.document_id,
        start=extent.start,
        end=extent.end,
        text=text[extent.start : extent.end],
        location=hit.location or hit.uri,
        title=hit.title,
        first_line=first,
        last_line=last,
        heading=hit.chunk.heading,
        kind=hit.chunk.kind,
        score=hit.score,
    )

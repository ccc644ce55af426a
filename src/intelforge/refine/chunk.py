"""Chunks that follow the structure of a text, sized in tokens of the embedder.

Every character that is not whitespace is in exactly one chunk; chunks are in order, do not overlap, and neither begin
nor end with whitespace. A section, class or function stays whole where it fits; one that does not is cut as `split`
says. Small neighbours are merged under the heading they share.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate, takewhile

from intelforge.core.values import Chunk
from intelforge.refine.protocol import Block, Extracted, TokenCounter
from intelforge.refine.split import Span, Splitter
from intelforge.refine.tokens import TokenIndex

CHARACTERS_PER_TOKEN = 32
"""A chunk is no longer than this times its tokens, whatever the tokenizer makes of a word without end."""
HEADING_SHARE = 4
"""A heading takes at most this part of a chunk's tokens."""
SMALL_SHARE = 5
"""What is below this part of a chunk's tokens is merged across headings."""
DOMINANT = 4
"""So many times as large as its neighbour, a piece gives a merged chunk its heading."""
MAX_DEPTH = 8
"""levels of headings that hold chunks together"""

_KINDS = {"code": "code", "definition": "code", "table_row": "table"}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A span on its way to become a chunk, under the headings of `path`."""

    start: int
    end: int
    tokens: int
    path: tuple[str, ...]
    kind: str


def chunk(extracted: Extracted, *, document_id: str, max_tokens: int, count: TokenCounter) -> tuple[Chunk, ...]:
    """The chunks of a text; `embedding_text` of each has at most `max_tokens` tokens.

    Takes time linear in the length of the text. The one exception to the bound is a single character of more tokens.
    """
    chunker = _Chunker(extracted, max_tokens, count)
    return tuple(
        Chunk(
            id=f"{document_id}:{ordinal}",
            document_id=document_id,
            ordinal=ordinal,
            start=piece.start,
            end=piece.end,
            text=extracted.text[piece.start : piece.end],
            heading=chunker.heading(piece.path)[0],
            kind=piece.kind,
            tokens=piece.tokens,
        )
        for ordinal, piece in enumerate(chunker.pieces())
    )


class _Chunker:
    def __init__(self, extracted: Extracted, max_tokens: int, count: TokenCounter) -> None:
        self._extracted = extracted
        self._separator = "." if extracted.language else " > "
        self._max_tokens = max_tokens
        self._count = count
        self._splitter = Splitter(
            text=extracted.text,
            tokens=TokenIndex(extracted.text, count),
            max_characters=max_tokens * CHARACTERS_PER_TOKEN,
        )
        self._headings: dict[tuple[str, ...], tuple[str, int]] = {}

    def pieces(self) -> Iterator[_Piece]:
        segments = list(self._segments())
        sums = [0, *accumulate(segment.tokens for segment in segments)]
        for piece in self._merge(self._group(segments, sums, 0, len(segments), 0)):
            span = self._splitter.measure(piece.start, piece.end)
            room = self._room(piece.path)
            for part in self._splitter.cut(span, max_tokens=room) if span else ():
                yield replace(piece, start=part.start, end=part.end, tokens=part.tokens)

    def heading(self, path: tuple[str, ...]) -> tuple[str, int]:
        """The heading path as text and its tokens. Outer headings are dropped from one that is too long."""
        if path not in self._headings:
            self._headings[path] = self._short_heading(path)
        return self._headings[path]

    def _short_heading(self, path: tuple[str, ...]) -> tuple[str, int]:
        most = self._max_tokens // HEADING_SHARE
        for first in range(len(path)):
            text = self._separator.join(path[first:])
            tokens = self._count(text)
            if tokens <= most and len(text) <= most * CHARACTERS_PER_TOKEN:
                return text, tokens
        return self._cut_heading(path[-1] if path else "", most)

    def _cut_heading(self, text: str, most: int) -> tuple[str, int]:
        text = text[: most * 4]
        while text and self._count(text) > most:
            text = text[: len(text) // 2]
        text = text.strip()
        return text, self._count(text)

    def _room(self, path: tuple[str, ...]) -> int:
        return self._max_tokens - self.heading(path)[1]

    def _segments(self) -> Iterator[_Piece]:
        """The blocks and what stands between them, each heading together with what it introduces."""
        introduced: _Piece | None = None
        for block in _without_gaps(self._extracted):
            span = self._splitter.measure(block.start, block.end)
            if span is None:
                continue
            piece = _Piece(span.start, span.end, span.tokens, self._path(block.heading), _KINDS.get(block.kind, "text"))
            if introduced is not None and introduced.path == piece.path:
                piece = replace(piece, start=introduced.start, tokens=introduced.tokens + piece.tokens)
            elif introduced is not None:
                yield introduced
            introduced = piece if block.kind == "heading" else None
            if introduced is None:
                yield piece
        if introduced is not None:
            yield introduced

    def _path(self, heading: str) -> tuple[str, ...]:
        return tuple(heading.split(self._separator)) if heading else ()

    def _group(self, segments: Sequence[_Piece], sums: Sequence[int], low: int, high: int, depth: int) -> list[_Piece]:
        """Segments `low` to `high`, which share `depth` headings: as one if they fit, else by what is below."""
        whole = self._whole(segments, sums, low, high)
        if whole is not None:
            return [whole]
        pieces: list[_Piece] = []
        while low < high:
            segment = segments[low]
            if len(segment.path) <= depth or depth >= MAX_DEPTH:
                pieces += self._cut(segment)
                low += 1
                continue
            last = low + 1
            while last < high and segments[last].path[: depth + 1] == segment.path[: depth + 1]:
                last += 1
            pieces += self._group(segments, sums, low, last, depth + 1)
            low = last
        return pieces

    def _whole(self, segments: Sequence[_Piece], sums: Sequence[int], low: int, high: int) -> _Piece | None:
        """All the segments as one piece, if that fits."""
        if low == high or sums[high] - sums[low] > self._max_tokens:
            return None
        part = segments[low:high]
        path = reduce(_common, (segment.path for segment in part))
        kind = _joint_kind(segment.kind for segment in part)
        whole = _Piece(part[0].start, part[-1].end, sums[high] - sums[low], path, kind)
        return whole if self._fits(whole) else None

    def _cut(self, piece: _Piece) -> Iterable[_Piece]:
        if self._fits(piece):
            return (piece,)
        parts = self._splitter.split(
            Span(piece.start, piece.end, piece.tokens), max_tokens=self._room(piece.path), code=piece.kind == "code"
        )
        return [replace(piece, start=part.start, end=part.end, tokens=part.tokens) for part in parts]

    def _fits(self, piece: _Piece) -> bool:
        return piece.end - piece.start <= self._splitter.max_characters and piece.tokens <= self._room(piece.path)

    def _merge(self, pieces: Iterable[_Piece]) -> Iterator[_Piece]:
        last: _Piece | None = None
        for piece in pieces:
            merged = self._merged(last, piece) if last else None
            if last and merged is None:
                yield last
            last = merged or piece
        if last:
            yield last

    def _merged(self, left: _Piece, right: _Piece) -> _Piece | None:
        """Both as one piece, if it fits and they belong together or one of them is too small to stand alone."""
        smaller, larger = sorted((left, right), key=lambda piece: piece.tokens)
        small = smaller.tokens * SMALL_SHARE < self._max_tokens
        if not small and (left.path != right.path or left.kind != right.kind):
            return None
        path = larger.path if larger.tokens >= DOMINANT * smaller.tokens else _common(left.path, right.path)
        merged = _Piece(left.start, right.end, left.tokens + right.tokens, path, _joint_kind((left.kind, right.kind)))
        return merged if self._fits(merged) else None


def _without_gaps(extracted: Extracted) -> Iterator[Block]:
    """The blocks, and a block for each gap around them, under the heading before it."""
    position, heading = 0, ""
    for block in extracted.blocks:
        if block.start > position:
            yield Block(start=position, end=block.start, heading=heading)
        yield block
        position, heading = block.end, block.heading
    if position < len(extracted.text):
        yield Block(start=position, end=len(extracted.text), heading=heading)


def _joint_kind(kinds: Iterable[str]) -> str:
    different = set(kinds)
    return different.pop() if len(different) == 1 else "text"


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    """The headings that both paths begin with."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
    return tuple(heading for heading, _ in same)

"""Cuts a span that is too long for one chunk at the best boundaries below it.

Boundaries come in levels, coarse to fine; a unit that is still too long is cut at the next level, and neighbouring
units are put together again as far as they fit. Each level is one pass, so the whole takes linear time.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from intelforge.refine.tokens import TokenIndex

MAX_NESTING = 6
"""levels of indentation at which code is cut between statements"""

_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n")
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s)|[。！？]++[”’」』）]*+")
_LINE_END = re.compile(r"\n")
_INDENTED = re.compile(r"\n([^\S\n]*)[^\s)\]}]")

Boundaries = Callable[[str, int, int], Iterable[int]]
"""Gives the offsets within `text[start:end]` where it may be cut, in order."""


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]`, without whitespace at its ends, and its tokens."""

    start: int
    end: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitter:
    """Cuts spans of one text so that each has at most the given tokens and `max_characters`."""

    text: str
    tokens: TokenIndex
    max_characters: int

    def measure(self, start: int, end: int) -> Span | None:
        """The span without the whitespace at its ends; None when there is nothing else."""
        part = self.text[start:end]
        stripped = part.strip()
        if not stripped:
            return None
        start += len(part) - len(part.lstrip())
        end = start + len(stripped)
        return Span(start, end, self.tokens(start, end))

    def split(self, span: Span, *, max_tokens: int, code: bool) -> list[Span]:
        """The span in parts of at most `max_tokens`, in order, covering all that is not whitespace."""
        return self._split(span, max_tokens, _CODE if code else _PROSE)

    def cut(self, span: Span, *, max_tokens: int) -> Iterator[Span]:
        """Parts that are within the bounds, cut between words where there are any, between characters where not."""
        start = span.start
        while start < span.end:
            stop = self._reach(start, min(span.end, start + self.max_characters), max_tokens)
            if stop < span.end:
                space = max(self.text.rfind(mark, start + 1, stop + 1) for mark in " \n\t")
                stop = space if space > 0 else stop
            part = self.measure(start, stop)
            start = stop
            if part is not None:
                yield part

    def _reach(self, start: int, limit: int, max_tokens: int) -> int:
        """How far a part from `start` can go, to within a tenth of the tokens it may have; at least one character."""
        low, high = start + 1, min(limit, start + max_tokens)
        while self.tokens(start, high) <= max_tokens:
            if high == limit:
                return high
            low, high = high, min(limit, start + 2 * (high - start))
        while high - low > 1:
            middle = (low + high) // 2
            tokens = self.tokens(start, middle)
            if tokens > max_tokens:
                high = middle
            else:
                low = middle
                if tokens * 10 >= max_tokens * 9:
                    break
        return low

    def _split(self, span: Span, max_tokens: int, levels: tuple[Boundaries, ...]) -> list[Span]:
        if self._fits(span, max_tokens):
            return [span]
        if not levels:
            return list(self.cut(span, max_tokens=max_tokens))
        parts: list[Span] = []
        for unit in self._units(span, levels[0]):
            for part in self._split(unit, max_tokens, levels[1:]):
                last = parts[-1] if parts else None
                if last and self._fits(joined := Span(last.start, part.end, last.tokens + part.tokens), max_tokens):
                    parts[-1] = joined
                else:
                    parts.append(part)
        return parts

    def _units(self, span: Span, boundaries: Boundaries) -> Iterator[Span]:
        start = span.start
        for end in boundaries(self.text, span.start, span.end):
            unit = self.measure(start, end)
            if unit is not None:
                yield unit
            start = end
        if start == span.start:
            yield span
        elif (unit := self.measure(start, span.end)) is not None:
            yield unit

    def _fits(self, span: Span, max_tokens: int) -> bool:
        return span.tokens <= max_tokens and span.end - span.start <= self.max_characters


def _ends(pattern: re.Pattern[str]) -> Boundaries:
    return lambda text, start, end: (match.end() for match in pattern.finditer(text, start, end))


def _statements(text: str, start: int, end: int) -> Iterator[int]:
    """Before the lines that are indented least, the first line aside: the statements of its body."""
    lines = list(_INDENTED.finditer(text, start, end))
    least = min((len(line[1]) for line in lines), default=0)
    return (line.start() for line in lines if len(line[1]) == least)


_PROSE = tuple(map(_ends, (_PARAGRAPH_END, _SENTENCE_END, _LINE_END)))
_CODE = (*(_statements,) * MAX_NESTING, _ends(_LINE_END))

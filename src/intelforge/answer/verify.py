"""Checks that what a model wrote rests on what it cited, and finds the exact characters that carry it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from intelforge.answer.passages import line_range
from intelforge.answer.prose import Span, lines_of
from intelforge.answer.sentences import sentences_in
from intelforge.answer.terms import terms_of
from intelforge.core.values import Citation, Passage, Sentence, Verdict

SUPPORTED: Final = 0.6
"""Share of a sentence's terms that its quotes must hold."""
RESOLVES: Final = 0.3
"""Share below which a citation does not resolve: the passage does not speak of what is said."""
MAX_QUOTE: Final = 600
"""characters"""

_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftSentence:
    """A sentence as a model wrote it, with the passage numbers it gave."""

    text: str
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Quote:
    start: int
    end: int
    terms: frozenset[str]


def verify(
    draft: Sequence[DraftSentence], passages: Sequence[Passage], texts: Mapping[str, str]
) -> tuple[Sentence, ...]:
    """The sentences with those of their citations that resolve, and the verdict on each.

    A citation resolves when its passage exists and holds a quote that shares terms with the sentence. A sentence left
    without citations is unsupported; one whose quotes hold only some of its terms or numbers is partly supported.
    """
    by_number = {passage.number: passage for passage in passages}
    quotes = {number: list(_quotes(by_number[number], texts)) for number in _cited(draft) if number in by_number}
    return tuple(_verified(each, by_number, quotes, texts) for each in draft)


def _cited(draft: Sequence[DraftSentence]) -> list[int]:
    return sorted({number for each in draft for number in each.numbers})


def _verified(
    draft: DraftSentence,
    passages: Mapping[int, Passage],
    quotes: Mapping[int, Sequence[_Quote]],
    texts: Mapping[str, str],
) -> Sentence:
    wanted = terms_of(draft.text)
    citations, held = [], set[str]()
    for number in dict.fromkeys(draft.numbers):
        best = max(quotes.get(number, ()), key=lambda quote: _share(wanted, quote.terms), default=None)
        if best is not None and _share(wanted, best.terms) >= RESOLVES:
            citations.append(cite(passages[number], best.start, best.end, texts))
            held |= best.terms | _place_terms(passages[number])
    return Sentence(text=draft.text, citations=tuple(citations), verdict=_verdict(draft.text, wanted, held, citations))


def _verdict(text: str, wanted: frozenset[str], held: set[str], citations: Sequence[Citation]) -> Verdict:
    if not citations:
        return Verdict.UNSUPPORTED
    said = {number for citation in citations for number in _NUMBER.findall(citation.quote)}
    if _share(wanted, held) < SUPPORTED or not said.issuperset(_NUMBER.findall(text)):
        return Verdict.PARTLY
    return Verdict.SUPPORTED


def _place_terms(passage: Passage) -> frozenset[str]:
    """What a quote is about without saying it: the heading or symbol it stands under, its file and folder."""
    return terms_of(" ".join((passage.heading, passage.title, *passage.location.replace("\\", "/").split("/")[-2:])))


def _share(wanted: frozenset[str], held: frozenset[str] | set[str]) -> float:
    return len(wanted & held) / len(wanted) if wanted else 0.0


def cite(passage: Passage, start: int, end: int, texts: Mapping[str, str]) -> Citation:
    """The citation of these characters of the passage's document."""
    text = texts[passage.document_id]
    first, last = line_range(text, start, end)
    return Citation(
        number=passage.number,
        document_id=passage.document_id,
        start=start,
        end=end,
        quote=text[start:end],
        location=passage.location,
        first_line=first,
        last_line=last,
    )


def _quotes(passage: Passage, texts: Mapping[str, str]) -> Iterator[_Quote]:
    """What may be quoted: each sentence of the passage, each two that follow each other, or else its lines."""
    text = texts[passage.document_id]
    spans = list(_units(passage, text))
    for start, end in spans:
        yield _Quote(start, end, terms_of(text[start:end]))
    for (start, _), (_, end) in pairwise(spans):
        if end - start <= MAX_QUOTE:
            yield _Quote(start, end, terms_of(text[start:end]))


def _units(passage: Passage, text: str) -> Iterator[Span]:
    found = [
        (each.start, each.end)
        for each in sentences_in(text, [(passage.start, passage.end)], location=passage.location, kind=passage.kind)
        if each.end - each.start <= MAX_QUOTE
    ]
    if found:
        yield from found
        return
    for start, end in lines_of(text, passage.start, passage.end):
        line = text[start:end]
        if line.strip():
            yield end - len(line.lstrip()), min(start + len(line.rstrip()), start + MAX_QUOTE)

"""Where the words of a query stand in a text, by the analysis of the index: whole, by part, or in another form.

Forms are told apart a little less strictly than the vector stores do, whose stemming differs: `cancels` marks
`cancellation`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from intelforge.index.analysis import PART, UNSPACED, WORD, quoted_phrases, terms
from intelforge.index.words import folded, stem

Span = tuple[int, int]
"""Characters, half-open."""

LONGEST_QUERY: Final = 1000
"""terms; those of a longer query are not looked for"""


def highlights(text: str, query: str) -> tuple[Span, ...]:
    """The matched words and quoted phrases, in order and apart from each other."""
    wanted = {_form(term) for term in terms(query)[:LONGEST_QUERY]} - {""}
    if not wanted:
        return ()
    found = [span for match in WORD.finditer(text) for span in _in_word(match[0], match.start(), wanted)]
    return tuple(_joined([*found, *_phrases(text, query)]))


def _form(term: str) -> str:
    return stem(folded(term))


def _in_word(word: str, start: int, wanted: set[str]) -> Iterator[Span]:
    """The whole word, or those of its parts that are wanted."""
    if _form(word) in wanted:
        yield start, start + len(word)
    elif not word.isascii() and UNSPACED.search(word):
        pairs = (
            at for run in UNSPACED.finditer(word) for at in range(run.start(), max(run.start() + 1, run.end() - 1))
        )
        yield from ((start + at, start + at + 2) for at in pairs if _form(word[at : at + 2]) in wanted)
    else:
        for part in PART.finditer(word):
            if len(part[0]) > 1 and _form(part[0]) in wanted:
                yield start + part.start(), start + part.end()


def _phrases(text: str, query: str) -> Iterator[Span]:
    """Phrases with the common words in them, which the index does not know."""
    phrases = [[_form(word) or word.lower() for word in WORD.findall(phrase)] for phrase in quoted_phrases(query)]
    if not phrases:
        return
    places = list(WORD.finditer(text))
    said = [_form(match[0]) or match[0].lower() for match in places]
    for phrase in phrases:
        for at in range(len(said) - len(phrase) + 1):
            if said[at : at + len(phrase)] == phrase:
                yield places[at].start(), places[at + len(phrase) - 1].end()


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    """The spans in order, those that touch made one."""
    start, end = -1, -1
    for first, last in sorted(spans):
        if first <= end:
            end = max(end, last)
            continue
        if end >= 0:
            yield start, end
        start, end = first, last
    if end >= 0:
        yield start, end

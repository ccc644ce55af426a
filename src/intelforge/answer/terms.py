"""The terms of a text: words and identifiers, whole and by part, lightly stemmed."""

import re
from functools import lru_cache
from typing import Final

from intelforge.index.words import stem

_WORD: Final = re.compile(r"\w+")
_CAMEL: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""Scripts written without spaces, indexed by pairs of characters."""

_STOP_WORDS: Final = frozenset(
    _WORD.findall("""
    a about above after again all also am an and any are as at be because been before being below between both
    but by can could did do does doing down during each either else ever every few for from further had has have
    having he her here hers him his how i if in into is it its itself just like me might more most much must my
    no nor not now of off on once one only or other our out over own per please same shall she should since so
    some such tell than that the their them then there these they this those through to too under until up upon
    us very was we were what when where whether which while who whom whose why will with within without would
    you your
    """)
)
_WEAK_WORDS: Final = frozenset(
    _WORD.findall("""
    allow become behave behaviour behavior call cause change come deal describe difference different do explain
    find exactly example function get give go handle happen help know let look main make mean meaning method
    module need occur possible purpose put python say see set show take thing treat try use usage value want way
    work
    """)
)
WEAK_WEIGHT: Final = 0.35
"""The share of its weight that a word keeps when questions hold it whatever they are about."""


@lru_cache(maxsize=65536)
def _word_terms(word: str) -> tuple[str, ...]:
    """An identifier gives itself and its parts; any other word its stem."""
    if _UNSPACED.search(word):
        return tuple(word[at : at + 2] for at in range(max(1, len(word) - 1)))
    lower = word.lower()
    parts = [part.lower() for piece in word.split("_") for part in _CAMEL.findall(piece)]
    if len(parts) < 2:
        return (stem(lower.strip("_")) or lower,)
    return (lower, *(stem(part) for part in parts if part not in _STOP_WORDS))


def terms_of(text: str) -> frozenset[str]:
    """Every term of the text that is not a stop word, identifiers whole and by part."""
    return frozenset(
        term for word in _WORD.findall(text) if word.lower() not in _STOP_WORDS for term in _word_terms(word)
    )


def question_terms(question: str) -> dict[str, float]:
    """The question's terms with their weights: a part of an identifier weighs less than the whole."""
    weights: dict[str, float] = {}
    for word in _WORD.findall(question):
        if word.lower() in _STOP_WORDS:
            continue
        terms = _word_terms(word)
        bigrams = _UNSPACED.search(word) is not None
        for place, term in enumerate(terms):
            weight = 0.25 if place and not bigrams else 1.0
            weights[term] = max(weights.get(term, 0.0), weight * (WEAK_WEIGHT if term in _WEAK_STEMS else 1.0))
    return weights


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: shared terms over all terms; 0.0 when there are none."""
    return len(one & other) / len(one | other) if one or other else 0.0


_WEAK_STEMS: Final = frozenset(stem(word) for word in _WEAK_WORDS)

"""Maximal marginal relevance (Carbonell and Goldstein, 1998): hits that are good and unlike the hits above them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from intelforge.core.values import Hit, PartScore
from intelforge.index.explain import weighed
from intelforge.index.protocol import Vectors
from intelforge.index.words import words

LIKENESS: Final = "likeness"
RELEVANCE: Final = 0.7
"""the share of a hit's own score; its likeness to the nearest hit above it has the rest, and counts against it"""


def diversify(hits: Sequence[Hit], vectors: Mapping[str, Vectors], *, limit: int) -> list[Hit]:
    """The `limit` hits chosen one after the other, each with its marginal relevance as its score, best first.

    Likeness is the cosine of the hits' vectors (by chunk id), or the share of words they have in common when one of
    them has no vector.
    """
    alike = _cosines([vectors[hit.chunk.id] for hit in hits]) if _all_in(hits, vectors) else _shared_words(hits)
    scores = np.array([hit.score for hit in hits], np.float64)
    nearest, left = np.zeros(len(hits)), np.ones(len(hits), bool)
    chosen: list[Hit] = []
    while len(chosen) < min(limit, len(hits)):
        marginal = RELEVANCE * scores - (1 - RELEVANCE) * nearest
        best = int(np.argmax(np.where(left, marginal, -np.inf)))
        chosen.append(_judged(hits[best], float(marginal[best]), float(nearest[best])))
        left[best] = False
        nearest = np.maximum(nearest, alike[best])
    return chosen


def _judged(hit: Hit, score: float, likeness: float) -> Hit:
    own = PartScore(part=LIKENESS, score=likeness, scaled=likeness, weight=RELEVANCE - 1)
    return replace(hit, score=score, explanation=weighed(hit.explanation, RELEVANCE, own))


def _all_in(hits: Sequence[Hit], vectors: Mapping[str, Vectors]) -> bool:
    return bool(hits) and all(hit.chunk.id in vectors for hit in hits)


def _cosines(vectors: Sequence[Vectors]) -> NDArray[np.float64]:
    """Shape (n, n), in [0, 1]."""
    matrix = np.stack(vectors).astype(np.float64)
    return np.asarray(np.clip(matrix @ matrix.T, 0, 1))


def _shared_words(hits: Sequence[Hit]) -> NDArray[np.float64]:
    """Jaccard's coefficient of every two texts: shape (n, n), in [0, 1]."""
    said = [frozenset(words(hit.chunk.text)) for hit in hits]
    return np.array([[len(one & two) / max(1, len(one | two)) for two in said] for one in said], np.float64)

"""Finds a kept reply to a question that asks the same in other words."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from intelforge.models.response_cache.protocol import Question
from intelforge.models.response_cache.same import difference

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]
"""Vectors of questions, one row each."""

THRESHOLD: Final = 0.95


async def _not_measured() -> float | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """How similar questions are found, and how often that was seen to go wrong."""

    embed: Embed = field(repr=False)
    threshold: float = THRESHOLD
    """of the cosine, from which on a question is taken for the same"""
    false_hits: Callable[[], Awaitable[float | None]] = field(default=_not_measured, repr=False)
    """share of questions that were given another's reply when it was measured; None when it was not"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A question that asks the same."""

    key: bytes
    similarity: float
    text: str


async def vector_of(similar: Similar, text: str) -> Vector:
    """The question's vector, of length 1."""
    row: Vector = unit(np.asarray(await similar.embed([text]), dtype=np.float32))[0]
    return row


def best_match(text: str, vector: Vector, questions: Sequence[Question], *, threshold: float) -> Match | None:
    """The most similar question of those that nothing tells apart from this one."""
    rows = [(one, np.frombuffer(one.vector, "<f4")) for one in questions]
    rows = [(one, row) for one, row in rows if row.shape == vector.shape]
    if not rows:
        return None
    similarities = np.stack([row for _, row in rows]) @ vector
    for place in np.argsort(-similarities):
        similarity = float(similarities[place])
        if similarity < threshold:
            return None
        question = rows[place][0]
        if not difference(text, question.text):
            return Match(key=question.key, similarity=similarity, text=question.text)
    return None


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)

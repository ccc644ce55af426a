"""Joining the rankings of a lexical and a vector search into one. Pure functions over scores.

A convex combination of scores (Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", 2023):
each part is scaled to [0, 1] by what it could have given, then weighed by what the query and the results say about
how far each part can be trusted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from intelforge.index.protocol import Scored

LEXICAL = "lexical"
VECTOR = "vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """A chunk with its fused score in [0, 1], and the scores of the parts that found it."""

    chunk_id: str
    document_id: str
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)


IDENTIFIER = re.compile(r"\w_\w|[a-z\d][A-Z]|\w\.\w|\w::\w|\w\(\)|[\"“`]")
"""What looks like a name in code or is quoted: it is meant to the letter"""


def vector_weight(query: str) -> float:
    """How much of the fused score the vector part has, in [0, 1]."""
    return 0.2 if IDENTIFIER.search(query) else 0.7


def fuse(lexical: Sequence[Scored], vector: Sequence[Scored], *, weight: float, limit: int) -> list[Fused]:
    """The best chunks of both parts, best first; ties by chunk id. `weight` is the vector part's share, in [0, 1]."""
    words, meaning = _scaled(lexical), _scaled(vector)
    documents = {hit.chunk_id: hit.document_id for hit in (*lexical, *vector)}
    by_part = {
        LEXICAL: {hit.chunk_id: hit.score for hit in lexical},
        VECTOR: {hit.chunk_id: hit.score for hit in vector},
    }
    fused = [
        Fused(
            chunk_id=key,
            document_id=document,
            score=(1 - weight) * words.get(key, 0.0) + weight * meaning.get(key, 0.0),
            scores={part: scores[key] for part, scores in by_part.items() if key in scores},
        )
        for key, document in documents.items()
    ]
    return sorted(fused, key=lambda hit: (-hit.score, hit.chunk_id))[:limit]


def _scaled(hits: Sequence[Scored]) -> dict[str, float]:
    """Scores over the best one; a search with no positive score gives zeros."""
    best = max((hit.score for hit in hits), default=0.0)
    return {hit.chunk_id: max(0.0, hit.score) / best if best > 0 else 0.0 for hit in hits}

"""Joining the rankings of a lexical and a vector search into one. Pure functions over scores.

A convex combination of scores (Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", 2023):
each part is scaled to [0, 1] over its candidates, then weighed by what the query says about how far words and meaning
can be trusted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from intelforge.index.analysis import STOP_WORDS, WORD
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


LITERAL = re.compile(r"\w+_\w+|\b[a-z]+\d*[A-Z]\w*|\w+(?:\.|::)[A-Za-z_]\w+|\w\(\)|[\"“`]")
"""What looks like a name in code or is quoted: it is meant to the letter"""
LITERAL_SHARE = 4
"""one word in so many must be literal for the query to be"""
MEANING_WEIGHT = 0.8
LITERAL_WEIGHT = 0.3
"""The vector part's share, for questions and for literal queries: measured with benchmarks/retrieval.py"""


STANDS_OUT = 0.6
"""So far ahead by its words, the best text has what hardly any other has, and the query is taken to the letter"""


def stands_out(lexical: Sequence[Scored]) -> float:
    """By how much the best text is ahead of the third best, as a share of its score; 0 when there are fewer.

    Where one word of a question is in one or two texts only, BM25 puts these far ahead.
    """
    return (
        (lexical[0].score - lexical[2].score) / lexical[0].score if len(lexical) > 2 and lexical[0].score > 0 else 0.0
    )


def vector_weight(query: str, lexical: Sequence[Scored] = (), *, embedded: float = 1.0) -> float:
    """The vector part's share of the fused score, in [0, 1].

    `lexical` is what the words found, best first; `embedded` is the share of chunks that have a vector.

    While few chunks have one, those that have none must not lose to them for that alone. Who asks for one word wants
    the texts that have it; a model may never have seen that word.
    """
    words = [word for word in WORD.findall(query.lower()) if word not in STOP_WORDS]
    literal = len(words) <= 1 or len(LITERAL.findall(query)) * LITERAL_SHARE >= len(query.split())
    literal = literal or stands_out(lexical) >= STANDS_OUT
    return (LITERAL_WEIGHT if literal else MEANING_WEIGHT) * min(1.0, max(0.0, embedded))


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
    """Scores with the best of the list at one and the worst at zero; all at one when there is no difference."""
    best = max((hit.score for hit in hits), default=0.0)
    span = best - min((hit.score for hit in hits), default=0.0)
    return {hit.chunk_id: 1.0 - (best - hit.score) / span if span > 0 else 1.0 for hit in hits}

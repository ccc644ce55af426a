"""Joining the rankings of a lexical and a vector search into one. Pure functions over scores.

A convex combination of scores (Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", 2023):
each part is scaled to [0, 1] over its candidates, then weighed by what the query says about how far words and meaning
can be trusted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from intelforge.core.values import PartScore
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
    parts: tuple[PartScore, ...] = ()

    @property
    def scores(self) -> dict[str, float]:
        """As the parts that found it gave them."""
        return {part.part: part.score for part in self.parts if part.score is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """The vector part's share of the fused score, in [0, 1], and why."""

    vector: float
    why: str


LITERAL = re.compile(r"\b\w+_\w+|\b[a-z]+\d*[A-Z]\w*|\b\w+(?:\.|::)[A-Za-z_]\w+|\w\(\)|[\"“`]")
"""What looks like a name in code or is quoted: it is meant to the letter"""
LITERAL_SHARE = 4
"""one word in so many must be literal for the query to be"""
LITERAL_WEIGHT = 0.3
"""The vector part's share for a query that is meant to the letter, and the least for any other"""
MEANING_WEIGHT = 0.9
"""Its share for a question whose words are everywhere. Weights and leads: measured with benchmarks/retrieval.py"""
LITTLE_LEAD, LARGE_LEAD = 0.22, 0.62
"""up to one lead a question is taken by its meaning, from the other on to the letter"""
LEAD_OVER = 10


def lead(lexical: Sequence[Scored]) -> float:
    """By how much the best text is ahead of the tenth best (or the last), as a share of its score, in [0, 1].

    Where the words of a question say which text is meant, BM25 puts that one far ahead; where they are in any text or
    in none, all score alike. Fewer than three texts tell nothing: 0.
    """
    if len(lexical) < 3 or lexical[0].score <= 0:
        return 0.0
    return (lexical[0].score - lexical[:LEAD_OVER][-1].score) / lexical[0].score


def weigh(query: str, lexical: Sequence[Scored] = (), *, embedded: float = 1.0) -> Weighing:
    """How far meaning is trusted.

    `lexical` is what the words found, best first; `embedded` is the share of chunks that have a vector.

    While few chunks have one, those that have none must not lose to them for that alone. Who asks for one word wants
    the texts that have it; a model may never have seen that word.
    """
    words = [word for word in WORD.findall(query.lower()) if word not in STOP_WORDS]
    told = (lead(lexical) - LITTLE_LEAD) / (LARGE_LEAD - LITTLE_LEAD)
    why = "a question is taken by its meaning, the less the further the best text is ahead by its words"
    if len(words) <= 1:
        told, why = 1.0, "a single word is taken to the letter"
    elif len(LITERAL.findall(query)) * LITERAL_SHARE >= len(query.split()):
        told, why = 1.0, "names and quotes are taken to the letter"
    weight = MEANING_WEIGHT + (LITERAL_WEIGHT - MEANING_WEIGHT) * min(1.0, max(0.0, told))
    share = min(1.0, max(0.0, embedded))
    return Weighing(vector=weight * share, why=f"{why}; not all chunks are embedded yet" if share < 1 else why)


def fuse(lexical: Sequence[Scored], vector: Sequence[Scored], *, weight: float, limit: int) -> list[Fused]:
    """The best chunks of both parts, best first; ties by chunk id. `weight` is the vector part's share, in [0, 1]."""
    parts = ((LEXICAL, lexical, 1 - weight), (VECTOR, vector, weight))
    scaled = {part: _scaled(hits) for part, hits, _ in parts}
    raw = {part: {hit.chunk_id: hit.score for hit in hits} for part, hits, _ in parts}
    documents = {hit.chunk_id: hit.document_id for hit in (*lexical, *vector)}
    scores = {key: sum(share * scaled[part].get(key, 0.0) for part, _, share in parts) for key in documents}
    return [
        Fused(
            chunk_id=key,
            document_id=documents[key],
            score=scores[key],
            parts=tuple(
                PartScore(part=part, score=raw[part].get(key), scaled=scaled[part].get(key, 0.0), weight=share)
                for part, _, share in parts
            ),
        )
        for key in sorted(documents, key=lambda key: (-scores[key], key))[:limit]
    ]


def _scaled(hits: Sequence[Scored]) -> dict[str, float]:
    """Scores with the best of the list at one and the worst at zero; all at one when there is no difference."""
    best = max((hit.score for hit in hits), default=0.0)
    span = best - min((hit.score for hit in hits), default=0.0)
    return {hit.chunk_id: 1.0 - (best - hit.score) / span if span > 0 else 1.0 for hit in hits}

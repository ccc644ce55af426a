"""Scores candidates: question terms held, rare ones counting most; nearness of meaning; and what the sentence is.

The weights were chosen by asking 50 questions that Python's standard library and the READMEs of its packages answer,
and 36 that they do not.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from intelforge.answer.candidates import Candidate
from intelforge.answer.protocol import Embed
from intelforge.answer.terms import question_terms, terms_of

MAX_EMBEDDED: Final = 32
"""Sentences embedded for one question: what a busy two-core machine embeds in well under a second."""
MAX_EMBEDDED_TEXT: Final = 400
"""characters"""

_NAME: Final = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How evidence is weighed."""

    heading: float = 0.8
    """a question term found in heading, symbol or file name, against 1.0 for one in the sentence itself"""
    passage: float = 0.3
    """a question term found elsewhere in the passage"""
    cosine: float = 0.6
    """cosine of the embeddings of question and sentence, against 1.0 for all the question's terms"""
    rank: float = 0.1
    """the passage being the first one; divided by the passage's number"""
    named: float = 0.25
    """the sentence standing under a symbol, or in a file, that the question names"""
    lead: float = 0.15
    """being the first sentence about what the question names"""
    test: float = 0.75
    """factor for files of tests, unless the question is about tests"""
    announcing: float = 0.8
    """factor for a sentence that ends in a colon, unless it is a first one: what answers comes after it"""
    kind: Mapping[str, float] = field(default_factory=lambda: {"comment": 0.85, "signature": 0.75})
    """factor by the kind of sentence, 1.0 for others"""


async def rank(
    question: str, candidates: Sequence[Candidate], *, embed: Embed | None, weights: Weights
) -> list[Candidate]:
    """The candidates with their scores, best first. With `embed`, the best 32 only."""
    wanted = _rarity(question, candidates)
    named = frozenset(word.lower() for word in _NAME.findall(question))
    around = {each.passage.number: terms_of(each.passage.text) for each in candidates}
    scored = [replace(each, score=_score(each, wanted, named, around, weights)) for each in candidates]
    scored.sort(key=lambda each: -each.score)
    if embed is not None and scored:
        scored = await _with_cosine(question, scored[:MAX_EMBEDDED], embed, weights)
    return scored


def _rarity(question: str, candidates: Sequence[Candidate]) -> dict[str, float]:
    """The share of each question term in the whole, by inverse document frequency over the candidates; sums to 1."""
    total = len(candidates)
    rarity = {}
    for term, weight in question_terms(question).items():
        having = sum(term in each.own for each in candidates)
        rarity[term] = weight * math.log(1 + (total - having + 0.5) / (having + 0.5))
    whole = sum(rarity.values())
    return {term: value / whole for term, value in rarity.items()} if whole else {}


def _held(each: Candidate, wanted: Mapping[str, float], around: frozenset[str], weights: Weights) -> float:
    """How much of the question the sentence holds, itself or by where it stands: 0 to 1."""
    held = 0.0
    for term, share in wanted.items():
        if term in each.own:
            held += share
        elif term in each.context:
            held += share * weights.heading
        elif term in around:
            held += share * weights.passage
    return held


def _score(
    each: Candidate,
    wanted: Mapping[str, float],
    named: frozenset[str],
    around: Mapping[int, frozenset[str]],
    weights: Weights,
) -> float:
    score = _held(each, wanted, around[each.passage.number], weights) + weights.rank / each.passage.number
    if each.names and each.names[-1] in named and each.sentence.kind != "comment":
        score += weights.named * sum(name in named for name in each.names) / len(each.names)
        score += weights.lead * each.lead
    score *= weights.kind.get(each.sentence.kind, 1.0)
    score *= weights.announcing if each.sentence.text.endswith(":") and not each.lead else 1.0
    return score * weights.test if each.in_test and named.isdisjoint(("test", "tests")) else score


async def _with_cosine(
    question: str, candidates: Sequence[Candidate], embed: Embed, weights: Weights
) -> list[Candidate]:
    said = [f"{each.sentence.heading}\n{each.sentence.text}".strip()[:MAX_EMBEDDED_TEXT] for each in candidates]
    vectors = await embed([question, *said])
    nearness = weights.cosine * np.asarray(vectors[1:] @ vectors[0], dtype=float)
    scored = [replace(each, score=each.score + float(near)) for each, near in zip(candidates, nearness, strict=True)]
    return sorted(scored, key=lambda each: -each.score)

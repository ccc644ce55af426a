"""Answers without a language model: the sentences that answer best, quoted with their places.

A sentence is scored by how much of the question it and its surroundings hold, rare terms counting most; by the cosine
of its embedding to the question's when there are embeddings; and by the rank of its passage.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from intelforge.answer.protocol import Embed
from intelforge.answer.sentences import TextSentence, sentences_of
from intelforge.answer.terms import question_terms, similarity, terms_of
from intelforge.answer.verify import cite
from intelforge.core.values import Passage, Sentence

MAX_SENTENCES: Final = 5
MAX_EMBEDDED: Final = 48
"""Sentences embedded for one question: what a busy two-core machine embeds in about half a second."""
MAX_SENTENCE: Final = 600
"""Characters above which a span is not quoted as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How evidence is weighed, and how much is enough; measured on answerable and unanswerable questions."""

    heading: float = 0.8
    """a term found in the heading, symbol or file name, against 1.0 for one in the sentence itself"""
    passage: float = 0.3
    """a term found elsewhere in the passage"""
    cosine: float = 0.6
    rank: float = 0.1
    signature: float = 0.75
    """what a signature's score is multiplied by"""
    enough: float = 0.5
    """evidence the best sentence needs, without embeddings"""
    enough_embedded: float = 0.8
    """evidence the best sentence needs, with embeddings"""
    relative: float = 0.75
    """share of the best sentence's score that another one needs"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sentence of a passage with what is known of it; `score` is comparable within one question."""

    passage: Passage
    sentence: TextSentence
    own: frozenset[str]
    context: frozenset[str]
    coverage: float = 0.0
    cosine: float | None = None
    score: float = 0.0


async def extract(
    question: str,
    passages: Sequence[Passage],
    texts: Mapping[str, str],
    *,
    embed: Embed | None = None,
    weights: Weights = Weights(),
) -> tuple[Sentence, ...]:
    """Up to five quoted sentences in reading order; none when the evidence is weak."""
    candidates = await rank(question, candidates_of(passages, texts), embed=embed, weights=weights)
    enough = weights.enough if embed is None else weights.enough_embedded
    if not candidates or candidates[0].score < enough:
        return ()
    chosen = _chosen(candidates, weights.relative * candidates[0].score)
    return tuple(_quoted(each, texts) for each in _reading_order(chosen))


def candidates_of(passages: Sequence[Passage], texts: Mapping[str, str]) -> list[Candidate]:
    """Every sentence that lies in a passage."""
    found: list[Candidate] = []
    for document_id in dict.fromkeys(passage.document_id for passage in passages):
        parts = [passage for passage in passages if passage.document_id == document_id]
        sentences = sentences_of(texts[document_id], location=parts[0].location, kind=parts[0].kind)
        for passage in parts:
            inside = (each for each in sentences if passage.start <= each.start and each.end <= passage.end)
            found += (_candidate(passage, each) for each in inside if each.end - each.start <= MAX_SENTENCE)
    return found


def _candidate(passage: Passage, sentence: TextSentence) -> Candidate:
    place = passage.location.replace("\\", "/").split("/")[-2:]
    heading = sentence.heading or passage.heading
    context = terms_of(" ".join((heading, passage.title, *place)))
    return Candidate(passage=passage, sentence=sentence, own=terms_of(sentence.text), context=context)


async def rank(
    question: str, candidates: Sequence[Candidate], *, embed: Embed | None, weights: Weights
) -> list[Candidate]:
    """The candidates with their scores, best first."""
    wanted = _rarity(question_terms(question), candidates)
    if not wanted:
        wanted = dict.fromkeys(terms_of(question), 1.0)
    around = {each.passage.number: terms_of(each.passage.text) for each in candidates}
    scored = [_scored(each, wanted, around[each.passage.number], weights) for each in candidates]
    scored.sort(key=lambda each: -each.score)
    if embed is not None and scored:
        scored = await _with_cosine(question, scored[:MAX_EMBEDDED], embed, weights)
    return scored


def _rarity(terms: Mapping[str, float], candidates: Sequence[Candidate]) -> dict[str, float]:
    """The share of each question term in the whole, by inverse document frequency over the candidates; sums to 1."""
    total = len(candidates)
    rarity = {}
    for term, weight in terms.items():
        having = sum(term in each.own for each in candidates)
        rarity[term] = weight * math.log(1 + (total - having + 0.5) / (having + 0.5))
    whole = sum(rarity.values())
    return {term: value / whole for term, value in rarity.items()} if whole else {}


def _scored(each: Candidate, wanted: Mapping[str, float], around: frozenset[str], weights: Weights) -> Candidate:
    coverage = 0.0
    for term, share in wanted.items():
        if term in each.own:
            coverage += share
        elif term in each.context:
            coverage += share * weights.heading
        elif term in around:
            coverage += share * weights.passage
    score = coverage + weights.rank / each.passage.number
    if each.sentence.kind == "signature":
        score *= weights.signature
    return replace(each, coverage=coverage, score=score)


async def _with_cosine(
    question: str, candidates: Sequence[Candidate], embed: Embed, weights: Weights
) -> list[Candidate]:
    said = [f"{each.sentence.heading}\n{each.sentence.text}".strip() for each in candidates]
    vectors = await embed([question, *said])
    cosines = np.asarray(vectors[1:] @ vectors[0], dtype=float)
    scored = [
        replace(each, cosine=float(cosine), score=each.score + weights.cosine * float(cosine))
        for each, cosine in zip(candidates, cosines, strict=True)
    ]
    return sorted(scored, key=lambda each: -each.score)


def _chosen(candidates: Sequence[Candidate], least: float) -> list[Candidate]:
    """The best candidates, none saying what a better one has said."""
    chosen: list[Candidate] = []
    for each in candidates:
        if len(chosen) == MAX_SENTENCES or each.score < least:
            break
        if not any(_repeats(each, other) for other in chosen):
            chosen.append(each)
    return chosen


def _repeats(one: Candidate, other: Candidate) -> bool:
    if one.sentence.text.casefold() == other.sentence.text.casefold():
        return True
    return similarity(one.own, other.own) >= 0.8


def _reading_order(chosen: Sequence[Candidate]) -> list[Candidate]:
    """By document, the most relevant first, and by position in it."""
    documents = list(dict.fromkeys(each.passage.document_id for each in chosen))
    return sorted(chosen, key=lambda each: (documents.index(each.passage.document_id), each.sentence.start))


def _quoted(each: Candidate, texts: Mapping[str, str]) -> Sentence:
    citation = cite(each.passage, each.sentence.start, each.sentence.end, texts)
    return Sentence(text=each.sentence.text, citations=(citation,))

"""Answers without a language model: the sentences that answer best, quoted with their places."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from intelforge.answer.candidates import Candidate, candidates_of
from intelforge.answer.protocol import Embed
from intelforge.answer.scoring import Weights, rank
from intelforge.answer.terms import similarity
from intelforge.answer.verify import cite
from intelforge.core.values import Passage, Sentence

MAX_SENTENCES: Final = 5
ENOUGH: Final = 0.6
"""Score needed without embeddings, chosen so: of 50 answerable questions 48 reach it, of 36 others 1."""
ENOUGH_EMBEDDED: Final = 0.89
"""Score needed with embeddings, chosen on the same questions: 48 of the 50 reach it, none of the 36."""
RELATIVE: Final = 0.75
"""Share of the best sentence's score that a further one needs."""

_LEANS_BACK: Final = re.compile(r"(?:It|Its|This|That|These|Those|They|Their|He|She|Such|In that case|Otherwise)\b")


async def extract(
    question: str, passages: Sequence[Passage], texts: Mapping[str, str], *, embed: Embed | None = None
) -> tuple[Sentence, ...]:
    """Up to five quoted sentences in reading order; none when the evidence is weak."""
    candidates = candidates_of(passages, texts)
    ranked = await rank(question, candidates, embed=embed, weights=Weights())
    enough = ENOUGH if embed is None else ENOUGH_EMBEDDED
    if not ranked or ranked[0].score < enough:
        return ()
    chosen = _with_antecedents(_chosen(ranked), candidates)
    return tuple(_quoted(each, texts) for each in _reading_order(chosen))


def _chosen(ranked: Sequence[Candidate]) -> list[Candidate]:
    """The best candidates, none saying what a better one has said."""
    chosen: list[Candidate] = []
    for each in ranked:
        if len(chosen) == MAX_SENTENCES or each.score < RELATIVE * ranked[0].score:
            break
        if each.sentence.kind == "signature" and chosen:
            continue  # it says how something is called, not what was asked
        if not any(_repeats(each, other) for other in chosen):
            chosen.append(each)
    return chosen


def _repeats(one: Candidate, other: Candidate) -> bool:
    if one.sentence.text.casefold() == other.sentence.text.casefold():
        return True
    return similarity(one.own, other.own) >= 0.8


def _with_antecedents(chosen: Sequence[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """The chosen ones, and before each that leans on the sentence before it (`It …`), that sentence."""
    ends = {(each.passage.document_id, each.sentence.end): each for each in candidates}
    kept: dict[tuple[str, int], Candidate] = {}
    for each in chosen:
        before = _sentence_before(each, ends) if _LEANS_BACK.match(each.sentence.text) else None
        for one in (before, each):
            if one is not None and len(kept) < MAX_SENTENCES:
                kept.setdefault((one.passage.document_id, one.sentence.start), one)
    return list(kept.values())


def _sentence_before(each: Candidate, ends: Mapping[tuple[str, int], Candidate]) -> Candidate | None:
    """The sentence that ends where only white space, a margin at most, parts it from this one."""
    for end in range(each.sentence.start - 1, max(-1, each.sentence.start - 20), -1):
        found = ends.get((each.passage.document_id, end))
        if found is not None:
            return found if found.sentence.kind == each.sentence.kind else None
    return None


def _reading_order(chosen: Sequence[Candidate]) -> list[Candidate]:
    """By document, the most relevant first, and by position in it."""
    documents = list(dict.fromkeys(each.passage.document_id for each in chosen))
    return sorted(chosen, key=lambda each: (documents.index(each.passage.document_id), each.sentence.start))


def _quoted(each: Candidate, texts: Mapping[str, str]) -> Sentence:
    citation = cite(each.passage, each.sentence.start, each.sentence.end, texts)
    return Sentence(text=each.sentence.text, citations=(citation,))

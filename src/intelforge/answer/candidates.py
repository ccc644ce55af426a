"""The sentences of passages as candidates for an answer, with what is known of the place each one stands in."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from intelforge.answer.sentences import TextSentence, sentences_in
from intelforge.answer.terms import terms_of
from intelforge.core.values import Passage

MAX_SENTENCE: Final = 600
"""Characters above which a span is not quoted as a sentence."""
_TEST_FILE: Final = re.compile(r"(?:^|[/\\])(?:tests?[/\\]|test_[^/\\]*$|[^/\\]*_test\.\w+$|conftest\.py$)")
_NOT_NAMES: Final = frozenset(("init", "__init__", "index", "readme", "main"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sentence of a passage. `score` tells how well it answers the question, see `scoring`."""

    passage: Passage
    sentence: TextSentence
    own: frozenset[str]
    """terms of the sentence"""
    context: frozenset[str]
    """terms of its heading, title, file and folder"""
    names: tuple[str, ...]
    """what it is about, in lower case: the parts of its symbol, else the name of its file"""
    lead: bool
    """whether it is the first sentence about that"""
    in_test: bool
    score: float = 0.0


def candidates_of(passages: Sequence[Passage], texts: Mapping[str, str]) -> list[Candidate]:
    """Every sentence that lies in a passage, in the order of documents and positions."""
    found: list[Candidate] = []
    for document_id in dict.fromkeys(passage.document_id for passage in passages):
        parts = [passage for passage in passages if passage.document_id == document_id]
        spans = [(passage.start, passage.end) for passage in parts]
        sentences = sentences_in(texts[document_id], spans, location=parts[0].location, kind=parts[0].kind)
        leads = _leads(sentences)
        for passage in sorted(parts, key=lambda part: part.start):
            found += (
                _candidate(passage, each, lead=each.start in leads)
                for each in sentences
                if passage.start <= each.start and each.end <= passage.end and each.end - each.start <= MAX_SENTENCE
            )
    return found


def _leads(sentences: Sequence[TextSentence]) -> set[int]:
    """Where the first sentence of the document and of each symbol starts."""
    first: dict[str, int] = {}
    for each in sentences:
        if each.kind == "docstring":
            first.setdefault(each.heading, each.start)
        elif each.kind == "prose":
            first.setdefault("", each.start)
    return set(first.values())


def _candidate(passage: Passage, sentence: TextSentence, *, lead: bool) -> Candidate:
    parts = re.split(r"[/\\]", passage.location.partition("?")[0])[-2:]
    heading = sentence.heading or passage.heading
    symbol = sentence.heading if sentence.kind != "prose" else ""
    return Candidate(
        passage=passage,
        sentence=sentence,
        own=terms_of(sentence.text),
        context=terms_of(" ".join((heading, passage.title, *parts))),
        names=tuple(symbol.lower().split(".")) if symbol else _file_names(parts),
        lead=lead,
        in_test=bool(_TEST_FILE.search(passage.location)),
    )


def _file_names(parts: Sequence[str]) -> tuple[str, ...]:
    """The name of the file, or of its folder when the file's own says nothing."""
    stems = [part.partition(".")[0].lower() for part in reversed(parts)]
    return tuple(stem for stem in stems if stem and stem not in _NOT_NAMES)[:1]

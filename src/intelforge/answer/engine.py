"""The way from a question to an answer: search, passages, then sentences, written or quoted, and verified."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from intelforge.answer.extractive import extract
from intelforge.answer.passages import make_passages, read_documents
from intelforge.answer.protocol import Judge, Library
from intelforge.answer.verify import borne_out, verify
from intelforge.answer.written import INSTRUCTIONS, make_prompt, read_reply
from intelforge.core.chat import ChatResponse
from intelforge.core.errors import IntelForgeError, InvalidInputError, ModelError
from intelforge.core.values import Answer, Passage
from intelforge.index.protocol import Embedder
from intelforge.models.protocol import LanguageModel

MAX_QUESTION: Final = 4000
"""characters"""
HITS: Final = 24
PASSAGES: Final = 12
FAILED: Final = "the language model failed: "
LOCAL_ONLY: Final = "a passage may only go to models on this machine: "


@dataclass(frozen=True, slots=True)
class _Writer:
    """The model that writes, who is told how well it did, and whom it writes for."""

    model: LanguageModel
    judge: Judge | None
    principals: Sequence[str]

    def did(self, reply: ChatResponse, quality: float) -> None:
        if self.judge and reply.decision and not reply.cached:
            self.judge(str(reply.decision["call"]), quality)


async def answer(
    question: str,
    *,
    library: Library,
    embedder: Embedder | None = None,
    model: LanguageModel | None = None,
    principals: Sequence[str] = (),
    judge: Judge | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> Answer:
    """The answer to a question from the library's documents, each sentence with citations that resolve.

    Written by `model` when one is given and answers, else quoted; `judge` is told what its citations say of its reply.
    Without sentences when the evidence is weak; the nearest passages are given all the same. `principals` are the
    asker's: a reply that is kept is given to no others. When a passage may only go to models on this machine, no other
    model is given any. Raises InvalidInputError when the question is empty or longer than 4,000 characters, and what
    the library and the embedder raise; never because the model failed.
    """
    question = _checked(question)
    began = timer()
    result = await library.search(question, limit=HITS)
    texts = await read_documents(result.hits, library)
    passages = make_passages(result.hits, texts, limit=PASSAGES)
    local_only = bool(await library.local_only({passage.document_id for passage in passages}))
    searched = timer()
    evidence = _Evidence(question, passages, texts, local_only=local_only)
    found = await _answered(evidence, embedder, _Writer(model, judge, principals) if model else None)
    return replace(
        found,
        notes=(*result.notes, *found.notes),
        seconds={"search": searched - began, "answer": timer() - searched},
    )


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A question, and the passages that may answer it with the texts of their documents."""

    question: str
    passages: tuple[Passage, ...]
    texts: Mapping[str, str]
    local_only: bool
    """a passage may only go to models on this machine"""


async def _answered(evidence: _Evidence, embedder: Embedder | None, writer: _Writer | None) -> Answer:
    notes: tuple[str, ...] = ()
    if writer is not None and evidence.passages:
        try:
            return await _written(evidence, writer)
        except IntelForgeError as error:
            notes = (f"sentences are quoted, because {LOCAL_ONLY if evidence.local_only else FAILED}{error}",)
    question, passages, texts = evidence.question, evidence.passages, evidence.texts
    embed = embedder.embed if embedder and (embedder.local or not evidence.local_only) else None
    sentences = await extract(question, passages, texts, embed=embed)
    return Answer(question=question, sentences=sentences, passages=passages, notes=notes)


async def _written(evidence: _Evidence, writer: _Writer) -> Answer:
    question, passages = evidence.question, evidence.passages
    completion = await writer.model.complete(
        make_prompt(question, passages),
        instructions=INSTRUCTIONS,
        purpose="answer",
        local_only=evidence.local_only,
        principals=writer.principals,
    )
    try:
        sentences = verify(read_reply(completion.text), passages, evidence.texts)
    except ModelError:
        writer.did(completion, 0.0)
        raise
    if sentences:  # that there is no evidence may well be true
        writer.did(completion, borne_out(sentences))
    unpriced = (f"the price of {completion.model} is not known",) if completion.cost_usd is None else ()
    return Answer(
        question=question,
        sentences=sentences,
        passages=passages,
        model=completion.model,
        cost_usd=completion.cost_usd or 0.0,
        call=str(completion.decision["call"]) if completion.decision else "",
        decision=completion.decision,
        notes=(*completion.notes, *unpriced),
    )


def _checked(question: str) -> str:
    question = question.strip()
    if not question:
        raise InvalidInputError("the question is empty", hint="ask something, for example: intelforge ask 'What is …?'")
    if len(question) > MAX_QUESTION:
        raise InvalidInputError(
            f"the question has {len(question)} characters, more than {MAX_QUESTION}", hint="ask something shorter"
        )
    return question

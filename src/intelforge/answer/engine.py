"""The way from a question to an answer: search, passages, then sentences, written or quoted, and verified."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from intelforge.answer.extractive import extract
from intelforge.answer.passages import make_passages, read_documents
from intelforge.answer.protocol import Embed, Library
from intelforge.answer.verify import verify
from intelforge.answer.written import INSTRUCTIONS, make_prompt, read_reply
from intelforge.core.errors import IntelForgeError, InvalidInputError
from intelforge.core.values import Answer, Passage
from intelforge.models.protocol import LanguageModel

MAX_QUESTION: Final = 4000
"""characters"""
HITS: Final = 24
PASSAGES: Final = 12


async def answer(
    question: str,
    *,
    library: Library,
    embed: Embed | None = None,
    model: LanguageModel | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> Answer:
    """The answer to a question from the library's documents, each sentence with citations that resolve.

    Written by `model` when one is given and answers, else quoted. Without sentences when the evidence is weak; the
    nearest passages are given all the same. Raises InvalidInputError when the question is empty or longer than 4,000
    characters, and what the library and the embeddings raise; never because the model failed.
    """
    question = _checked(question)
    began = timer()
    result = await library.search(question, limit=HITS)
    texts = await read_documents(result.hits, library)
    passages = make_passages(result.hits, texts, limit=PASSAGES)
    searched = timer()
    found = await _answered(question, passages, texts, embed, model)
    return replace(
        found,
        notes=(*result.notes, *found.notes),
        seconds={"search": searched - began, "answer": timer() - searched},
    )


async def _answered(
    question: str,
    passages: Sequence[Passage],
    texts: Mapping[str, str],
    embed: Embed | None,
    model: LanguageModel | None,
) -> Answer:
    notes: tuple[str, ...] = ()
    if model is not None and passages:
        try:
            return await _written(question, passages, texts, model)
        except IntelForgeError as error:
            notes = (f"sentences are quoted, because the language model failed: {error}",)
    sentences = await extract(question, passages, texts, embed=embed)
    return Answer(question=question, sentences=sentences, passages=tuple(passages), notes=notes)


async def _written(
    question: str, passages: Sequence[Passage], texts: Mapping[str, str], model: LanguageModel
) -> Answer:
    completion = await model.complete(make_prompt(question, passages), instructions=INSTRUCTIONS, purpose="answer")
    return Answer(
        question=question,
        sentences=verify(read_reply(completion.text), passages, texts),
        passages=tuple(passages),
        model=completion.model,
        cost_usd=completion.cost_usd or 0.0,
        notes=(f"the price of {completion.model} is not known",) if completion.cost_usd is None else (),
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

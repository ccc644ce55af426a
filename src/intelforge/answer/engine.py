"""The way from a question to an answer: search, passages, sentences."""

import time
from collections.abc import Callable
from typing import Final

from intelforge.answer.extractive import extract
from intelforge.answer.passages import make_passages, read_documents
from intelforge.answer.protocol import Embed, Library
from intelforge.core.errors import InvalidInputError
from intelforge.core.values import Answer

MAX_QUESTION: Final = 4000
"""characters"""
HITS: Final = 24
PASSAGES: Final = 12


async def answer(
    question: str,
    *,
    library: Library,
    embed: Embed | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> Answer:
    """The answer to a question from the library's documents, each sentence with citations that resolve.

    Without sentences when the evidence is weak; the nearest passages are given all the same.
    Raises InvalidInputError when the question is empty or longer than 4,000 characters, and what the library raises.
    """
    question = _checked(question)
    began = timer()
    hits = await library.search(question, limit=HITS)
    texts = await read_documents(hits, library)
    passages = make_passages(hits, texts, limit=PASSAGES)
    searched = timer()
    sentences = await extract(question, passages, texts, embed=embed)
    return Answer(
        question=question,
        sentences=sentences,
        passages=passages,
        seconds={"search": searched - began, "answer": timer() - searched},
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

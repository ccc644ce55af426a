"""From a question to an answer."""

import pytest

from intelforge.answer.engine import MAX_QUESTION, answer
from intelforge.core.errors import InvalidInputError
from intelforge.testing.library import MemoryLibrary

TASKS = '''"""Support for tasks."""


async def wait_for(fut, timeout):
    """Wait for the single Future or coroutine to complete, with timeout.

    Returns result of the Future or coroutine.  When a timeout occurs,
    it cancels the task and raises TimeoutError.

    If the wait is cancelled, the task is also cancelled.
    """
    return await fut


def gather(*futures):
    """Run the futures together and give their results in order."""
'''
GUIDE = """# Guide

The scheduler starts jobs in the order they were given.

Bananas are yellow.
"""
LIBRARY = MemoryLibrary({"asyncio/tasks.py": TASKS, "guide.md": GUIDE})


async def test_answers_with_sentences_quoted_from_the_documents() -> None:
    found = await answer("How does asyncio.wait_for treat cancellation?", library=LIBRARY)
    assert "If the wait is cancelled, the task is also cancelled." in found.text
    assert found.model == "extractive"
    for sentence in found.sentences:
        for citation in sentence.citations:
            text = await LIBRARY.text(citation.document_id)
            assert text[citation.start : citation.end] == citation.quote
            assert any(passage.number == citation.number for passage in found.passages)


async def test_a_quote_wrapped_over_lines_keeps_its_characters_and_reads_as_one_line() -> None:
    found = await answer("When does wait_for raise TimeoutError after a timeout?", library=LIBRARY)
    best = next(sentence for sentence in found.sentences if "TimeoutError" in sentence.text)
    assert best.text == "When a timeout occurs, it cancels the task and raises TimeoutError."
    assert best.citations[0].quote == "When a timeout occurs,\n    it cancels the task and raises TimeoutError."
    assert best.citations[0].place == "asyncio/tasks.py:7-8"


async def test_says_that_nothing_was_found_and_gives_the_nearest_passages() -> None:
    found = await answer("What is the order of the planets Mercury and Saturn?", library=LIBRARY)
    assert not found.found
    assert found.text == "No evidence found."
    assert found.passages


async def test_tells_how_long_each_part_took() -> None:
    ticks = iter([10.0, 12.0, 15.0])
    found = await answer("bananas", library=LIBRARY, timer=lambda: next(ticks))
    assert found.seconds == {"search": 2.0, "answer": 3.0}


@pytest.mark.parametrize("question", ["", " \n", "x" * (MAX_QUESTION + 1)])
async def test_refuses_an_empty_or_oversized_question(question: str) -> None:
    with pytest.raises(InvalidInputError):
        await answer(question, library=LIBRARY)

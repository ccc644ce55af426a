"""Which sentences are quoted, and when none is."""

from collections.abc import Sequence

import numpy as np
import pytest

from intelforge.answer.engine import answer
from intelforge.answer.extractive import MAX_SENTENCES
from intelforge.answer.scoring import MAX_EMBEDDED
from intelforge.core.values import Answer
from intelforge.index.protocol import TextKind, Vectors
from intelforge.testing.embedder import HashEmbedder
from intelforge.testing.library import MemoryLibrary


async def asked(question: str, **documents: str) -> Answer:
    return await answer(
        question, library=MemoryLibrary({name.replace("__", "."): documents[name] for name in documents})
    )


async def test_a_docstring_of_the_named_symbol_wins_over_mentions_of_it() -> None:
    module = 'def merge(parts):\n    """Joins sorted parts into one sorted whole."""\n    return parts\n'
    notes = "The merge module has tests. We merge branches on Friday. Nobody likes merge conflicts.\n"
    found = await asked("How does merge work?", heap__py=module, notes__md=notes)
    assert found.sentences[0].text == "Joins sorted parts into one sorted whole."


async def test_copies_of_a_sentence_are_quoted_once() -> None:
    text = "The boiler starts at dawn. Nothing else is said."
    copy = "The boiler starts at dawn! Another file, another ending."
    found = await asked("When does the boiler start?", a__md=text, b__md=copy, c__md=text + " ")
    assert [sentence.text for sentence in found.sentences] == ["The boiler starts at dawn."]


async def test_a_sentence_that_leans_on_the_one_before_it_brings_it_along() -> None:
    text = "A kestrel is a small falcon. It hovers over fields while hunting mice.\n\nOther birds sing."
    found = await asked("What hovers over fields while hunting mice?", birds__md=text)
    assert [sentence.text for sentence in found.sentences] == [
        "A kestrel is a small falcon.",
        "It hovers over fields while hunting mice.",
    ]


async def test_sentences_are_in_the_order_of_their_document() -> None:
    text = "Paint dries slowly. Put the red paint on first. Stir well. Put the blue paint on last, over the red paint."
    found = await asked("Which paint is put on first, red paint or blue paint?", paint__md=text)
    starts = [sentence.citations[0].start for sentence in found.sentences]
    assert len(starts) > 1
    assert starts == sorted(starts)


async def test_no_more_than_five_sentences_are_quoted() -> None:
    rooms = ("kitchen of Ann", "cellar below stairs", "attic with beams", "hall near doors", "barn behind trees")
    more = ("shed past hedges", "porch facing south", "tower above walls")
    text = " ".join(f"The lamp in the {room} burns oil." for room in rooms + more)
    found = await asked("Which lamp burns oil?", lamps__md=text)
    assert len(found.sentences) == MAX_SENTENCES


async def test_a_test_is_quoted_after_what_it_tests() -> None:
    module = 'def brew(tea):\n    """Brews the tea in hot water."""\n'
    test = 'def test_brew():\n    """Brews the tea in hot water for a test of it."""\n'
    library = MemoryLibrary({"tests/test_brew.py": test, "brew.py": module})
    found = await answer("How does brew make tea in hot water?", library=library)
    assert found.sentences[0].citations[0].location == "brew.py"


@pytest.mark.parametrize(
    "question",
    ["What is the capital of Mongolia?", "How do I configure Kubernetes ingress for the boiler?", "zxcv qwerty", "???"],
)
async def test_weak_evidence_is_no_answer(question: str) -> None:
    text = "The boiler starts at dawn. Write the first letter as a capital. What is it for? How do I open it?"
    found = await asked(question, a__md=text)
    assert not found.found


async def test_a_question_of_stop_words_alone_is_no_error() -> None:
    assert not (await asked("What is it?", a__md="What is it that it is?")).found


async def test_an_empty_library_has_no_answer_and_no_passages() -> None:
    found = await asked("What is the boiler?")
    assert (found.sentences, found.passages) == ((), ())


async def test_nearness_of_meaning_decides_when_words_do_not() -> None:
    text = "\n\n".join(("Dogs bark at low noise.", "Felines make a low noise when they rest here."))
    question = "What low noise is heard when they rest here?"
    given: list[Sequence[str]] = []

    class Felines(HashEmbedder):
        async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
            given.append(texts)
            near = {question: (1.0, 0.0), "Felines make a low noise when they rest here.": (1.0, 0.0)}
            return np.array([near.get(each, (0.0, 1.0)) for each in texts], dtype=np.float32)

    found = await answer(question, library=MemoryLibrary({"a.txt": text}), embedder=Felines())
    assert found.sentences[0].text == "Felines make a low noise when they rest here."
    assert len(given) == 1
    assert len(given[0]) <= MAX_EMBEDDED + 1

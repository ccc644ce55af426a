import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.models.response_cache.measure import Labelled, measure
from intelforge.models.response_cache.questions import read_questions
from intelforge.models.response_cache.same import difference


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("How many were sold in 2023?", "How many were sold in 2024?", "numbers"),
        ("the two largest cities", "the three largest cities", "numbers"),
        ("a price of 1,000", "a price of 1000", ""),
        ("Is it safe?", "Is it not safe?", "negation"),
        ("Why does it work?", "Why doesn't it work?", "negation"),
        ("Who leads Apple now?", "Who leads Intel now?", "names"),
        ("did Chelsea beat Arsenal", "did Arsenal beat Chelsea", "names"),
        ("what does read_csv do", "what does read_json do", "names"),
        ('what does "gift" mean', 'what does "present" mean', "quotes"),
        ("the largest of them", "the smallest of them", "opposites"),
        ("what happened before the war", "what happened after the war", "opposites"),
        ("convert from bytes", "convert to bytes", "opposites"),
        ("is a < b", "is a > b", "signs"),
        ("is f onto when g is", "is g onto when f is", "symbols"),
        ("which one is it\nA. red", "which one is it\nA. blue", "lines"),
        ("so " * 200 + "yes", "so " * 200 + "yeah", "length"),
        ("is it so if it rains", "is it so only if it rains", "opposites"),
        ("How can I sort a list?", "how can i sort a list", ""),
        ("what is the capital of France", "tell me what the capital of France is", ""),
    ],
)
def test_what_tells_two_questions_apart(first: str, second: str, told: str) -> None:
    assert difference(first, second) == told
    assert difference(second, first) == told


@given(st.text(max_size=60))
def test_a_question_is_never_told_apart_from_itself(text: str) -> None:
    assert difference(text, text) == ""


def test_hits_are_counted_true_and_false() -> None:
    questions = [
        Labelled(text="sort a list", group="sort"),
        Labelled(text="order a list", group="sort"),
        Labelled(text="reverse a list", group="reverse"),
        Labelled(text="sold in 2023", group="2023"),
        Labelled(text="sold in 2024", group="2024"),
    ]
    vectors = np.array([[1, 0, 0], [0.999, 0.05, 0], [0.97, 0.25, 0], [0, 0, 1], [0, 0, 1]], np.float32)
    strict, loose = measure(questions, vectors, thresholds=(0.99, 0.9))
    assert (strict.true_hits, strict.repeated, strict.hit_rate) == (2, 2, 1.0)
    assert (strict.false_hits, strict.false_hits_by_vector) == (0, 2)
    assert (loose.false_hits, loose.false_hits_by_vector) == (1, 3)
    assert loose.false_hit_rate == 0.2
    assert loose.examples == (("reverse a list", "order a list"),)


def test_one_question_tells_nothing() -> None:
    with pytest.raises(InvalidInputError):
        measure([Labelled(text="a", group="a")], np.ones((1, 3), np.float32))


def test_questions_are_read_with_what_groups_them(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl.gz"
    lines = (
        '{"text": "sort a list", "relevant": ["d1"]}',
        '{"question": "order a list", "relevant": ["d1"]}',
        '{"prompt": "reverse\u2028it"}',
        '{"prompt": "reverse\u2028it"}',
        "",
        "a plain line",
    )
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = read_questions(file)
    assert [question.text for question in found] == ["sort a list", "order a list", "reverse\u2028it", "a plain line"]
    assert found[0].group == found[1].group
    assert len({question.group for question in found}) == 3


@pytest.mark.parametrize("line", ['{"text": ', '{"other": "x"}'])
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(f"a question\n{line}\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        read_questions(file)


def test_a_file_of_questions_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="none"):
        read_questions(tmp_path / "none")

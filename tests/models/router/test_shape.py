import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intelforge.models.router.shape import NAMES, READ, shape

QUESTION = "Which of these is NOT a fruit?\nA. apple\nB. a rather long pear\nC. none of these\nD. stone\nAnswer:"


def number(text: str, name: str) -> float:
    return float(shape(text)[NAMES.index(name)])


def test_a_question_with_options_is_seen_as_one() -> None:
    assert number(QUESTION, "options") == 4
    assert number(QUESTION, "negation") == 1
    assert number(QUESTION, "which") == 1
    assert number(QUESTION, "all_or_none") == 1
    assert number("Which fruit is red?", "options") == 0


def test_sums_code_and_talk_differ() -> None:
    assert number("What is 12 + 345?", "digits") > number("What is a sum?", "digits") == 0
    assert number("def f(x):\n    return x == 2", "code") > number("Tell me of your day.", "code") == 0
    assert number("How many apples are left?", "how_many") == 1
    assert number("How are you?", "how_many") == 0
    assert number("Как дела?", "beyond_latin") > number("Wie geht es?", "beyond_latin") == 0


def test_of_a_long_text_its_two_ends_are_read() -> None:
    long = "word " * READ
    assert number(f"{long} 12345", "numbers") > 0
    assert number(f"{long} 12345 {long}", "numbers") == 0


@given(st.text(max_size=400))
def test_any_text_has_finite_numbers_in_the_order_of_their_names(text: str) -> None:
    found = shape(text)
    assert found.shape == (len(NAMES),)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 100

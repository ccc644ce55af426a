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


def test_how_options_are_written_is_seen() -> None:
    terms = "Two neurons meet at the\nA. synapse\nB. axon\nC. dendrite"
    sentences = "Statement 1 | All groups are rings.\nA. It holds for all groups.\nB. It holds for all rings."
    assert number(terms, "single_words") == 1
    assert number(sentences, "single_words") == 0
    assert number(sentences, "option_words") > number(terms, "option_words")
    assert number(QUESTION, "shortest_option") < number(QUESTION, "option_words")
    assert number(sentences, "option_sentences") == number(sentences, "option_capitals") == 1
    assert number(terms, "option_sentences") == number(terms, "option_capitals") == 0
    assert number(terms, "option_beginnings") == 1
    assert number(sentences, "option_beginnings") == 0.5
    assert number(sentences, "options_from_stem") > number(terms, "options_from_stem") == 0
    assert number("Is 7 prime?\nA. Yes\nB. No", "truth_options") == 1
    assert number(QUESTION, "truth_options") == 0


def test_how_the_question_ends_is_seen_before_its_options() -> None:
    ends = ("ends_asking", "ends_in_colon", "ends_in_stop")
    options = "\nA. 3.\nB. 4:\nC. five?"
    assert [number(f"Which is odd?{options}", end) for end in ends] == [1, 0, 0]
    assert [number(f"Of these the odd one is:{options}", end) for end in ends] == [0, 1, 0]
    assert [number(f"Name the odd one.{options}", end) for end in ends] == [0, 0, 1]
    assert [number(f"The odd one is{options}", end) for end in ends] == [0, 0, 0]
    assert number(f"Which is odd?{options}", "stem_numbers") == 0
    assert number(f"Of 3 and 4, which is odd?{options}", "stem_numbers") > 0
    assert number(f"There are three. Which is odd?{options}", "stem_sentences") > number("Odd?", "stem_sentences")


def test_a_choice_among_what_follows_and_a_stressed_negation_are_seen() -> None:
    assert number("Which of the following is red?", "of_following") == 1
    assert number("Which fruit is red?", "of_following") == 0
    assert number(QUESTION, "emphatic_negation") == 1
    assert number("Which of these is not a fruit?", "emphatic_negation") == 0


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

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.index.highlight import highlights


def marked(text: str, query: str) -> list[str]:
    return [text[start:end] for start, end in highlights(text, query)]


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("A timeout cancels the task.", "Timeout task", ["timeout", "task"]),
        ("boiled carrots, a carrot", "carrots boil", ["boiled", "carrots", "carrot"]),
        ("naïve Café", "cafe naive", ["naïve", "Café"]),
        ("def parse_HTTPHeader(x): header", "header", ["Header", "header"]),
        ("call wait_for now; wait, for", "wait_for", ["wait_for", "wait"]),
        ("the task and the other", "what is the task", ["task"]),
        ("then back off, slowly; back there", '"back off" slowly', ["back off", "slowly", "back"]),
        ("東京都に行く", "東京", ["東京"]),
        ("nothing of it", "elsewhere", []),
        ("a text", "", []),
        ("a text", "the of and", []),
        ("\x00nul\x00 and \ud800lone", "nul lone", ["nul", "lone"]),
    ],
)
def test_words_are_marked_whole_by_part_and_in_other_forms(text: str, query: str, expected: list[str]) -> None:
    assert marked(text, query) == expected


@given(st.text(max_size=200), st.text(max_size=50))
def test_marks_are_within_the_text_in_order_and_apart(text: str, query: str) -> None:
    bounds = [bound for span in highlights(text, query) for bound in span]
    assert all(0 <= bound <= len(text) for bound in bounds)
    assert all(one < other for one, other in pairwise(bounds))


@given(st.lists(st.sampled_from(["alpha", "betas", "gammaDelta", "snake_case", "der"]), min_size=1))
def test_every_word_of_a_text_is_marked_when_asked_for(words: list[str]) -> None:
    assert marked(" ".join(words), " ".join(words)) == words

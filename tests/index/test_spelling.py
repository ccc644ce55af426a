import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.index.spelling import corrected, distance, doubtful, likeliest


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [
        ("", "", 0),
        ("cat", "cat", 0),
        ("cat", "cart", 1),
        ("cat", "act", 1),
        ("recieve", "receive", 1),
        ("kitten", "sitting", 3),
    ],
)
def test_edits_are_letters_added_dropped_changed_or_swapped(one: str, other: str, edits: int) -> None:
    assert distance(one, other, most=5) == distance(other, one, most=5) == edits


@given(st.text("ab", max_size=8), st.text("ab", max_size=8), st.integers(0, 3))
def test_a_bound_changes_nothing_below_it(one: str, other: str, most: int) -> None:
    assert distance(one, other, most=most) == min(most + 1, distance(one, other, most=20))


def test_the_nearest_comes_first_then_the_most_frequent() -> None:
    counts = {"timeout": 3, "timeouts": 9, "timer": 50, "tineout": 7, "time": 1}
    assert likeliest("timeuot", counts) == ["timeout"]
    assert likeliest("timeoutt", counts) == ["timeouts", "timeout", "tineout"]
    assert likeliest("cat", {"cats": 1, "cut": 1}) == []
    assert likeliest("carrot", {"parrot": 9, "carrot": 9}) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("how does the timeuot cancl a task", ["timeuot", "cancl", "task"]),
        ('"timeuot" cancl', ["cancl"]),
        ("wait_fro HTTPHeder parseHeadr std::movr asyncio.wate fo()", []),
        ("call wate() or see http://exmaple.org", ["call"]),
        ("word4 2024 sea", []),
        ("Carrots CARRTOS", ["Carrots"]),
        ("alpha betas gamma deltas epsilons zetas", ["epsilons", "deltas", "alpha", "betas"]),
    ],
)
def test_only_plain_words_that_are_not_quoted_are_doubted(query: str, words: list[str]) -> None:
    assert doubtful(query, []) == words


def test_what_a_hit_says_in_any_form_is_not_doubted() -> None:
    assert doubtful("carrots soup", ["a carrot", "parse_header"]) == ["soup"]


def test_whole_words_are_replaced_and_nothing_else() -> None:
    assert corrected("cat scat cat's cat", {"cat": "dog"}) == "dog scat dog's dog"
    assert corrected("cat", {}) == "cat"

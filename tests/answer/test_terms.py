"""Terms of texts and questions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.answer.terms import WEAK_WEIGHT, question_terms, similarity, terms_of
from intelforge.index.words import stem


@pytest.mark.parametrize(
    "words",
    [
        "cancel cancels cancelled canceled cancelling cancellation cancellations",
        "configure configures configured configuring configuration",
        "file files",
        "class classes",
        "parse parser parsers parsing parsed",
        "copy copies copied",
        "compress compression compressed",
        "cache caches caching cached",
    ],
)
def test_forms_of_a_word_have_one_stem(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 1


@pytest.mark.parametrize("pair", ["station status", "string strict", "thing think", "process progress"])
def test_different_words_have_different_stems(pair: str) -> None:
    one, other = pair.split()
    assert stem(one) != stem(other)


def test_an_identifier_gives_itself_and_its_parts() -> None:
    assert terms_of("asyncio.wait_for") == {"asyncio", "wait_for", "wait"}
    assert terms_of("class HTTPServerError") >= {"httpservererror", "http", stem("server"), stem("error")}


def test_stop_words_give_nothing() -> None:
    assert terms_of("How does it do that?") == frozenset()


def test_scripts_without_spaces_are_split_into_pairs() -> None:
    assert terms_of("日本の首都") == {"日本", "本の", "の首", "首都"}


def test_a_part_weighs_less_than_the_whole_and_a_weak_word_less_than_a_strong_one() -> None:
    weights = question_terms("How does wait_for handle timeouts?")
    assert weights["wait_for"] == weights[stem("timeouts")] == 1.0
    assert weights["wait"] == 0.25
    assert weights[stem("handle")] == WEAK_WEIGHT


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_question_and_a_text_of_the_same_words_have_the_same_terms(text: str) -> None:
    assert set(question_terms(text)) == terms_of(text)


@settings(deadline=None)
@given(st.frozensets(st.text(max_size=2)), st.frozensets(st.text(max_size=2)))
def test_similarity_is_symmetric_and_between_nothing_and_all(one: frozenset[str], other: frozenset[str]) -> None:
    assert similarity(one, other) == similarity(other, one)
    assert 0.0 <= similarity(one, other) <= 1.0
    assert similarity(one, one) == (1.0 if one else 0.0)

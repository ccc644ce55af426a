import pytest

from intelforge.index.protocol import EVERYTHING, Filter, Held, Scored
from intelforge.index.store_rules import admits_nothing, held_by_document, phrases_first, ranked


def test_what_holds_a_phrase_is_above_all_else_and_found_once() -> None:
    found = [Scored("a:0", "a", 3.0), Scored("b:0", "b", 2.0)]
    holding = [Scored("b:0", "b", 2.0), Scored("c:0", "c", 0.5)]
    hits = ranked(phrases_first(found, holding), 9)
    assert [(hit.chunk_id, hit.score) for hit in hits] == [("b:0", 5.0), ("c:0", 3.5), ("a:0", 3.0)]
    assert phrases_first(found, []) == found


def test_equal_scores_go_by_id_and_no_more_than_the_limit_are_given() -> None:
    hits = [Scored("b:0", "b", 1.0), Scored("a:0", "a", 1.0), Scored("c:0", "c", 2.0)]
    assert [hit.chunk_id for hit in ranked(hits, 2)] == ["c:0", "a:0"]


@pytest.mark.parametrize(
    ("where", "nothing"),
    [
        (EVERYTHING, False),
        (Filter(any_of=(frozenset({"x"}),)), False),
        (Filter(any_of=(frozenset({"x"}), frozenset())), True),
        (Filter(documents=frozenset()), True),
    ],
)
def test_one_of_none_admits_nothing(where: Filter, nothing: bool) -> None:
    assert admits_nothing(where) is nothing


def test_a_document_with_chunks_or_vectors_alone_is_in_the_inventory() -> None:
    assert held_by_document({"a": 2}, {"a": 1, "b": 3}) == {"a": Held(2, 1), "b": Held(0, 3)}

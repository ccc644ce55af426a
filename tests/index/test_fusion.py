from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.index.fusion import LITERAL_WEIGHT, MEANING_WEIGHT, fuse, stands_out, vector_weight
from intelforge.index.protocol import Scored

scores = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 50, allow_nan=False, width=32))
weights = st.floats(0, 1)


def hits(part: dict[str, float]) -> list[Scored]:
    return [Scored(f"{name}:0", name, score) for name, score in part.items()]


@given(scores, scores, weights)
def test_fused_scores_are_in_the_unit_interval_best_first_each_chunk_once(
    lexical: dict[str, float], vector: dict[str, float], weight: float
) -> None:
    fused = fuse(hits(lexical), hits(vector), weight=weight, limit=100)
    assert {hit.document_id for hit in fused} == lexical.keys() | vector.keys()
    assert len(fused) == len(lexical.keys() | vector.keys())
    assert all(0 <= hit.score <= 1 + 1e-9 for hit in fused)
    assert [hit.score for hit in fused] == sorted((hit.score for hit in fused), reverse=True)


@given(scores, scores, weights, st.randoms())
def test_the_order_of_the_input_does_not_matter(
    lexical: dict[str, float], vector: dict[str, float], weight: float, random: Random
) -> None:
    shuffled = [random.sample(hits(part), len(part)) for part in (lexical, vector)]
    assert fuse(*shuffled, weight=weight, limit=5) == fuse(hits(lexical), hits(vector), weight=weight, limit=5)


@given(scores, scores, weights)
def test_a_chunk_that_is_better_in_both_parts_is_never_behind(
    lexical: dict[str, float], vector: dict[str, float], weight: float
) -> None:
    score = {hit.document_id: hit.score for hit in fuse(hits(lexical), hits(vector), weight=weight, limit=100)}
    both = lexical.keys() & vector.keys()
    for better in both:
        for worse in both:
            if lexical[better] >= lexical[worse] and vector[better] >= vector[worse]:
                assert score[better] >= score[worse] - 1e-9


def test_the_scores_of_the_parts_are_kept() -> None:
    [both, *_] = fuse(hits({"a": 7, "b": 3}), hits({"a": 0.9, "c": 0.2}), weight=0.5, limit=3)
    assert (both.chunk_id, dict(both.scores)) == ("a:0", {"lexical": 7, "vector": 0.9})


@pytest.mark.parametrize(
    "query",
    [
        "asyncio.wait_for",
        "wait_for timeout",
        "parseHeader",
        "where is qptjgzjzwfvzhru",
        '"exact words" here',
        "std::move",
    ],
)
def test_names_and_quotes_are_taken_to_the_letter(query: str) -> None:
    assert vector_weight(query) == LITERAL_WEIGHT


def test_a_word_that_hardly_any_text_has_counts_for_more() -> None:
    question = "where is the colour of frobnication defined in this code"
    weights = [
        vector_weight(question, [Scored("a:0", "a", 10), Scored("b:0", "b", second), Scored("c:0", "c", third)])
        for second, third in ((9, 9), (9, 6), (9, 3), (3, 3))
    ]
    assert weights == [MEANING_WEIGHT, MEANING_WEIGHT, LITERAL_WEIGHT, LITERAL_WEIGHT]
    assert stands_out([]) == stands_out([Scored("a:0", "a", 3), Scored("b:0", "b", 1)]) == 0


@pytest.mark.parametrize(
    "query", ["how do I cancel a task", "a long question about the name foo_bar in some library code"]
)
def test_questions_are_weighed_by_meaning_as_far_as_chunks_are_embedded(query: str) -> None:
    assert vector_weight(query, embedded=0.5) == pytest.approx(MEANING_WEIGHT / 2)
    assert vector_weight(query, embedded=0) == 0

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.index.fusion import LITERAL_WEIGHT, MEANING_WEIGHT, fuse, lead, weigh
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
    assert weigh(query).vector == pytest.approx(LITERAL_WEIGHT)


@pytest.mark.parametrize(("tenth", "weight"), [(10, 0.9), (8, 0.9), (5.8, 0.6), (3.5, 0.3), (1, 0.3)])
def test_words_count_for_more_the_further_the_best_text_is_ahead_by_them(tenth: float, weight: float) -> None:
    question = "where is the colour of frobnication defined in this code"
    found = [*hits(dict.fromkeys("abcdefghi", 10)), Scored("j:0", "j", tenth)]
    assert weigh(question, found).vector == pytest.approx(weight)
    assert weigh(question, [*found, Scored("k:0", "k", 0.1)]).vector == pytest.approx(weight)


@given(scores)
def test_a_lead_is_a_share_and_few_texts_have_none(found: dict[str, float]) -> None:
    ranked = hits(dict(sorted(((name, max(0.0, score)) for name, score in found.items()), key=lambda one: -one[1])))
    assert 0 <= lead(ranked) <= 1
    assert lead(ranked[:2]) == 0


@pytest.mark.parametrize(
    "query", ["how do I cancel a task", "a long question about the name foo_bar in some library code"]
)
def test_questions_are_weighed_by_meaning_as_far_as_chunks_are_embedded(query: str) -> None:
    assert weigh(query, embedded=0.5).vector == pytest.approx(MEANING_WEIGHT / 2)
    assert weigh(query, embedded=0).vector == 0

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.values import Chunk, Hit, PartScore
from intelforge.index.mmr import diversify
from intelforge.index.protocol import Vectors


def hit(name: str, score: float, text: str = "") -> Hit:
    chunk = Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)
    part = PartScore(part="lexical", score=score, scaled=score, weight=1.0)
    return Hit(chunk=chunk, score=score, explanation=(part,))


def unit(*values: float) -> Vectors:
    return np.asarray(np.array(values) / np.linalg.norm(values), np.float32)


VECTORS = {"a:0": unit(1, 0), "copy:0": unit(1, 0.01), "other:0": unit(0, 1)}


def test_near_duplicates_do_not_crowd_the_top() -> None:
    hits = [hit("a", 1.0), hit("copy", 0.99), hit("other", 0.8)]
    assert [each.chunk.document_id for each in diversify(hits, VECTORS, limit=3)] == ["a", "other", "copy"]
    assert [each.chunk.document_id for each in diversify(hits, VECTORS, limit=2)] == ["a", "other"]


def test_without_vectors_the_words_in_common_tell_what_is_alike() -> None:
    hits = [hit("a", 1.0, "red apples fall"), hit("copy", 0.99, "Red apple falls!"), hit("other", 0.8, "blue skies")]
    assert [each.chunk.document_id for each in diversify(hits, {}, limit=3)] == ["a", "other", "copy"]


def test_what_is_unlike_everything_keeps_its_order() -> None:
    hits = [hit("a", 1.0, "red"), hit("b", 0.9, "green"), hit("c", 0.1, "blue")]
    assert [each.chunk.document_id for each in diversify(hits, {}, limit=9)] == ["a", "b", "c"]
    assert diversify([], {}, limit=3) == []


@given(st.lists(st.tuples(st.floats(0, 1), st.text("abc ", max_size=9)), max_size=12))
def test_scores_fall_and_are_the_sum_of_their_parts(given_hits: list[tuple[float, str]]) -> None:
    chosen = diversify([hit(str(n), *each) for n, each in enumerate(given_hits)], {}, limit=8)
    assert len(chosen) == min(8, len(given_hits))
    assert all(one.score >= other.score - 1e-9 for one, other in pairwise(chosen))
    for each in chosen:
        assert sum(part.scaled * part.weight for part in each.explanation) == pytest.approx(each.score, abs=1e-9)

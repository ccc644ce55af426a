from datetime import UTC, datetime

import pytest

from intelforge.core.values import Chunk, Hit, PartScore
from intelforge.index.explain import readable, weighed, with_rerank
from intelforge.index.protocol import EVERYTHING, Filter
from intelforge.index.rerank import RERANKED, WEIGHT


def test_a_filter_is_told_in_words() -> None:
    assert readable(EVERYTHING) == ""
    where = Filter(
        any_of=(frozenset({"principal:*", "principal:ann"}), frozenset(f"source:{n:02}" for n in range(12))),
        none_of=frozenset({"tag:draft"}),
        documents=frozenset("abc"),
        since=datetime(2026, 1, 31, tzinfo=UTC).timestamp(),
        until=1e300,
        least_quality=0.5,
    )
    assert readable(where) == (
        "principal:* or principal:ann, source:00 or source:01 or source:02 or source:03 or source:04 or source:05 or "
        "source:06 or source:07 or source:08 or source:09 or 2 more, not tag:draft, 3 documents by path, "
        "since 2026-01-31T00:00+00:00, until 1e+300 s, quality 0.5 or better"
    )


def test_another_part_takes_its_share_from_all_others() -> None:
    one = PartScore(part="lexical", score=3, scaled=1, weight=0.4)
    other = PartScore(part="recency", score=0.5, scaled=0.5, weight=0.25)
    assert [part.weight for part in weighed([one], 0.75, other)] == pytest.approx([0.3, 0.25])


def test_a_closer_look_is_part_of_the_explanation_of_what_it_came_to() -> None:
    def hit(name: str, score: float, **scores: float) -> Hit:
        chunk = Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=1, text="x")
        part = PartScore(part="lexical", score=7, scaled=before[name], weight=1.0)
        return Hit(chunk=chunk, score=score, scores=scores, explanation=(part,))

    before = {"a": 0.8, "b": 0.6, "c": 0.1}
    looked = {"a": 0.25, "b": 1.0}
    after = [hit(name, (before[name] + WEIGHT * looked[name]) / (1 + WEIGHT), rerank=0.9) for name in "ba"]
    told = with_rerank([hit(name, score) for name, score in before.items()], [*after, hit("c", 0.1)])
    for each in told[:2]:
        assert sum(part.scaled * part.weight for part in each.explanation) == pytest.approx(each.score)
        assert (each.explanation[-1].part, each.explanation[-1].score) == (RERANKED, 0.9)
        assert each.explanation[-1].scaled == pytest.approx(looked[each.chunk.document_id])
    assert [part.part for part in told[2].explanation] == ["lexical"]

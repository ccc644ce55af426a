import asyncio
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.core.values import Chunk, Hit
from intelforge.index.rerank import AT_ONCE, MOST, LateInteraction, Scores, Tokens, nearness, rarity, rerank

COMMON, RARE = 1996, 28000


def hit(name: str, score: float) -> Hit:
    chunk = Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(name), text=name)
    return Hit(chunk=chunk, score=score, scores={"lexical": score})


def tokens(*pairs: tuple[int, int]) -> Tokens:
    """Tokens by piece number and the axis their vector lies on."""
    return Tokens(
        ids=np.array([piece for piece, _ in pairs], np.int32),
        vectors=np.eye(8, dtype=np.float32)[[a for _, a in pairs]],
    )


class Listed:
    """A reranker that knows each text's score."""

    name = "listed"
    at_once = AT_ONCE
    remote = False

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores = scores
        self.asked: list[list[str]] = []

    async def local(self) -> bool:
        return not self.remote

    async def score(self, query: str, texts: Sequence[str]) -> Scores:
        self.asked.append(list(texts))
        return np.array([self.scores[text] for text in texts], np.float32)


async def test_both_the_search_and_the_reranker_decide() -> None:
    hits = [hit("a", 1.0), hit("b", 0.9), hit("c", 0.0)]
    found = await rerank("q", hits, Listed({"a": 0.1, "b": 0.9, "c": 0.2}), seconds=9)
    assert [one.chunk.document_id for one in found] == ["b", "a", "c"]
    assert found[0].score == pytest.approx(0.95)
    assert found[0].scores == pytest.approx({"lexical": 0.9, "rerank": 0.9})


@given(st.lists(st.floats(0, 1), max_size=70), st.integers(0, 2**32 - 1), st.integers(0, 9))
async def test_no_hit_is_lost_and_scores_never_rise(scores: list[float], seed: int, steps: int) -> None:
    hits = [hit(str(n), score) for n, score in enumerate(sorted(scores, reverse=True))]
    said = dict(zip(map(str, range(len(hits))), np.random.default_rng(seed).random(len(hits)), strict=True))
    clock = iter(range(1000))
    found = await rerank("q", hits, Listed(said), seconds=steps, now=lambda: float(next(clock)))
    assert sorted(one.chunk.id for one in found) == sorted(one.chunk.id for one in hits)
    assert all(left.score >= right.score for left, right in pairwise(found))


async def test_it_ends_when_the_time_is_up_after_one_look_at_the_least() -> None:
    hits = [hit(str(n), 1 - n / 100) for n in range(60)]
    reranker = Listed({str(n): float(n) for n in range(60)})
    clock = iter([0.0, 0.4, 0.9, 1.1])
    found = await rerank("q", hits, reranker, seconds=1.0, now=lambda: next(clock))
    assert [len(few) for few in reranker.asked] == [AT_ONCE] * 3
    assert [one.chunk.document_id for one in found[3 * AT_ONCE :]] == [str(n) for n in range(3 * AT_ONCE, 60)]
    patient = Listed({str(n): float(n) for n in range(60)})
    await rerank("q", hits, patient, seconds=99)
    assert sum(map(len, patient.asked)) == MOST
    hurried = Listed({str(n): float(n) for n in range(60)})
    await rerank("q", hits, hurried, seconds=0)
    assert len(hurried.asked) == 1


class Remote(Listed):
    """Scores this many texts at once, and after so many calls hangs."""

    remote = True

    def __init__(self, scores: dict[str, float], *, at_once: int, calls: int) -> None:
        super().__init__(scores)
        self.at_once = at_once
        self.calls = calls

    async def score(self, query: str, texts: Sequence[str]) -> Scores:
        if len(self.asked) >= self.calls:
            await asyncio.Event().wait()
        return await super().score(query, texts)


async def test_a_remote_reranker_has_all_hits_in_one_call() -> None:
    hits = [hit(str(n), 1 - n / 100) for n in range(60)]
    reranker = Remote({str(n): float(n) for n in range(60)}, at_once=MOST, calls=1)
    found = await rerank("q", hits, reranker, seconds=60)
    assert [len(few) for few in reranker.asked] == [MOST]
    assert len(found) == 60


async def test_a_remote_reranker_that_stalls_is_given_up() -> None:
    reranker = Remote({}, at_once=MOST, calls=0)
    with pytest.raises(ModelError, match=r"listed gave no scores within 0\.01 s") as caught:
        await rerank("q", [hit("a", 1.0)], reranker, seconds=0.01)
    assert caught.value.error_code is ErrorCode.TIMED_OUT


async def test_what_was_scored_before_the_stall_counts() -> None:
    reranker = Remote({"a": 0.0, "b": 9.0}, at_once=2, calls=1)
    found = await rerank("q", [hit("a", 1.0), hit("b", 0.9), hit("c", 0.8)], reranker, seconds=0.05)
    assert [one.chunk.document_id for one in found] == ["b", "a", "c"]


async def test_a_hit_without_a_score_keeps_the_one_it_has() -> None:
    hits = [hit("a", 1.0), hit("b", 0.9), hit("c", 0.2)]
    found = await rerank("q", hits, Listed({"a": 0.0, "b": float("nan"), "c": 10.0}), seconds=9)
    assert [one.chunk.document_id for one in found] == ["b", "c", "a"]
    assert found[0] == hits[1]
    assert found[1].score == pytest.approx(0.6)


async def test_what_is_withheld_is_not_given_to_the_reranker_and_keeps_its_score() -> None:
    hits = [hit(str(n), 1 - n / 100) for n in range(2 * AT_ONCE)]
    reranker = Listed({str(n): float(n) for n in range(2 * AT_ONCE)})
    withheld = {str(n) for n in range(AT_ONCE)} | {str(2 * AT_ONCE - 1)}
    found = await rerank("q", hits, reranker, seconds=9, withheld=withheld)
    assert reranker.asked == [[str(n) for n in range(AT_ONCE, 2 * AT_ONCE - 1)]]
    assert [one for one in found if one.chunk.document_id in withheld] == [
        one for one in hits if one.chunk.document_id in withheld
    ]


async def test_nothing_found_is_nothing_to_rerank() -> None:
    assert await rerank("q", [], Listed({}), seconds=1) == []


async def test_a_model_that_fails_is_told() -> None:
    class Broken(Listed):
        async def score(self, query: str, texts: Sequence[str]) -> Scores:
            raise ModelError("the weights are damaged")

    with pytest.raises(ModelError):
        await rerank("q", [hit("a", 1.0)], Broken({}), seconds=1)


def test_rare_pieces_tell_more_and_every_one_tells_something() -> None:
    weights = rarity(np.array([0, 1010, COMMON, 5000, RARE], np.int32))
    assert all(weights > 0)
    assert list(weights) == sorted(weights)
    assert weights[-1] > 1.5 * weights[2]


def test_a_text_is_near_when_it_has_what_is_rare_in_the_query() -> None:
    query = tokens((COMMON, 0), (RARE, 1))
    assert nearness(query, tokens((RARE, 1), (COMMON, 0))) == pytest.approx(1.0)
    assert nearness(query, tokens((RARE, 1))) > nearness(query, tokens((COMMON, 0))) > nearness(query, tokens((7, 5)))
    assert nearness(tokens(), query) == nearness(query, tokens()) == 0


async def test_the_encoder_is_asked_once_for_query_and_texts() -> None:
    class Encoder:
        name = "axes"
        local = True

        async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
            assert texts[0] == "q"
            return [tokens((RARE, 1)), *(tokens((RARE, int(text))) for text in texts[1:])]

    reranker = LateInteraction(Encoder())
    assert reranker.name == "late interaction of axes"
    assert await reranker.local()
    assert (await reranker.score("q", ["1", "2"])).tolist() == [1.0, 0.0]

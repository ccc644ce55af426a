"""Reranking: a closer look at the best candidates of a search, within a time that is given.

What is built in is late interaction (Khattab and Zaharia, "ColBERT", 2020) with the tokens of the sentence encoder that
made the vectors: every token of the query is held against its nearest token of the text, rare ones counting most. It
needs no further model, and candidates that have no vector yet are looked at like the others.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.core.values import Hit
from intelforge.index.protocol import Vectors

Scores = NDArray[np.float32]
"""Shape (n,), higher is better."""

RERANKED: Final = "rerank"
MOST: Final = 50
"""hits looked at"""
AT_ONCE: Final = 8
"""hits that a model on this machine scores between two looks at the clock"""
WEIGHT: Final = 1.0
"""of the reranker's scores, scaled to [0, 1], against those of the search, in [0, 1] too"""
FIRST_WORD: Final = 990
"""The pieces of a WordPiece vocabulary stand by how common they are, from about this one on: its number is its rank."""
COMMON: Final = 3.0
"""log of the rank up to which a piece tells next to nothing"""
LEAST_WEIGHT: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A text token by token, special ones left out."""

    ids: NDArray[np.int32]
    """shape (n,), of the vocabulary"""
    vectors: Vectors
    """shape (n, dimensions), rows of unit length"""


class Reranker(Protocol):
    """Scores texts against a query by looking at both together."""

    @property
    def name(self) -> str: ...

    @property
    def at_once(self) -> int:
        """How many texts are well scored in one call."""
        ...

    @property
    def remote(self) -> bool:
        """A call may be given up at any time. A model on this machine ends what it began."""
        ...

    async def local(self) -> bool:
        """Whether what it is given stays on this machine. Raises ModelError when its model is not there."""
        ...

    async def score(self, query: str, texts: Sequence[str]) -> Scores:
        """In the order of the texts, not a number for one that got no score. Raises ModelError when the model fails."""
        ...


async def rerank(
    query: str,
    hits: Sequence[Hit],
    reranker: Reranker,
    *,
    seconds: float,
    withheld: Collection[str] = (),
    now: Callable[[], float] = time.monotonic,
) -> list[Hit]:
    """The hits, the best of them in the order of both searches and the reranker.

    Looks at them from the best on, as many at once as the reranker takes, until `seconds` have passed; what it did not
    come to stays behind what it did, as it was, and a hit without a score keeps the one it has. It is not given hits of
    the documents `withheld`, which get no score. Raises ModelError when the model fails, TIMED_OUT when a remote one
    gave nothing in time.
    """
    began = now()
    looked: list[float] = []
    while len(looked) < min(len(hits), MOST) and (not looked or now() - began < seconds):
        few = hits[len(looked) : min(len(looked) + reranker.at_once, MOST)]
        try:
            async with asyncio.timeout(seconds - (now() - began) if reranker.remote else None):
                looked += await _scores(query, few, reranker, withheld)
        except TimeoutError as error:
            if looked:
                break
            raise ModelError(
                f"{reranker.name} gave no scores within {seconds:.2g} s",
                hint="raise rerank_seconds, or choose another reranker",
                code=ErrorCode.TIMED_OUT,
            ) from error
    best = sorted(_weighed(hits, looked), key=lambda hit: (-hit.score, hit.chunk.id))
    floor = min((hit.score for hit in best), default=1.0)
    return [*best, *(replace(hit, score=min(hit.score, floor)) for hit in hits[len(looked) :])]


async def _scores(query: str, hits: Sequence[Hit], reranker: Reranker, withheld: Collection[str]) -> list[float]:
    """A score for each hit, not a number where there is none."""
    given = [place for place, hit in enumerate(hits) if hit.chunk.document_id not in withheld]
    scores = np.full(len(hits), math.nan, np.float32)
    if given:
        scores[given] = await reranker.score(query, [hits[place].chunk.embedding_text for place in given])
    return [float(score) for score in scores]


def _weighed(hits: Sequence[Hit], looked: Sequence[float]) -> list[Hit]:
    """The hits that were looked at, with the scores of both."""
    given = [score for score in looked if not math.isnan(score)]
    least = min(given, default=0.0)
    span = max(given, default=0.0) - least
    return [
        hit
        if math.isnan(score)
        else replace(
            hit,
            score=(hit.score + WEIGHT * ((score - least) / span if span > 0 else 1.0)) / (1 + WEIGHT),
            scores={**hit.scores, RERANKED: score},
        )
        for hit, score in zip(hits, looked, strict=False)
    ]


@runtime_checkable
class TokenEncoder(Protocol):
    """Gives the vectors of a text's tokens in its context."""

    @property
    def name(self) -> str: ...

    @property
    def local(self) -> bool:
        """What it is given stays on this machine."""
        ...

    async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """In the order of the texts. Does not block the event loop."""
        ...


class LateInteraction:
    """Reranks with the encoder that also embeds."""

    at_once = AT_ONCE
    remote = False

    def __init__(self, encoder: TokenEncoder) -> None:
        self._encoder = encoder

    @property
    def name(self) -> str:
        return f"late interaction of {self._encoder.name}"

    async def local(self) -> bool:
        return self._encoder.local

    async def score(self, query: str, texts: Sequence[str]) -> Scores:
        asked, *said = await self._encoder.tokens([query, *texts])
        return np.array([nearness(asked, each) for each in said], np.float32)


def nearness(query: Tokens, text: Tokens) -> float:
    """The mean, by rarity, of each query token's cosine to its nearest token of the text, in [-1, 1]."""
    if not (len(query.ids) and len(text.ids)):
        return 0.0
    weights = rarity(query.ids)
    nearest = (query.vectors @ text.vectors.T).max(axis=1)
    return float(nearest @ weights / weights.sum())


def rarity(ids: NDArray[np.int32]) -> Scores:
    """How much each piece of a WordPiece vocabulary tells, by its rank in it: shape (n,), above zero."""
    ranks = np.maximum(ids.astype(np.float32) - FIRST_WORD, 2)
    return np.asarray(np.maximum(np.log(ranks) - COMMON, LEAST_WEIGHT), np.float32)

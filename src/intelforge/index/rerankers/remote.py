"""A reranking model behind an HTTP API: what all of them share."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.index.embedders.pieces import estimated_tokens
from intelforge.index.model_api import WAITED_FOR_ATTEMPTS, Patience, answered, sendable
from intelforge.index.model_context import ModelContext
from intelforge.index.rerank import Scores
from intelforge.index.rerankers.endpoint import Endpoint
from intelforge.index.rerankers.url import SETTING

FIRST_WAIT: Final = 0.1
"""seconds at the most before a second attempt, whose failure says more than that the time was up"""
HIGHEST: Final = 1e30
"""a score beyond this is none"""
SHORTEST: Final = 64
"""characters; a server that finds these too long means something else"""


class RemoteReranker:
    """The reranker of one endpoint. Any number of calls may be under way."""

    remote = True

    def __init__(self, endpoint: Endpoint, context: ModelContext, *, patience: Patience | None = None) -> None:
        self.endpoint = endpoint
        self._context = context
        self._api = endpoint.api(SETTING.name, context, patience or Patience(first=FIRST_WAIT))

    @property
    def name(self) -> str:
        return self.endpoint.name

    async def local(self) -> bool:
        return self.endpoint.local

    @property
    def at_once(self) -> int:
        return self.endpoint.most_texts

    async def score(self, query: str, texts: Sequence[str]) -> Scores:
        """In the order of the texts. What the server finds too long is cut, and cut again.

        Raises ModelError when the model cannot be reached, refuses, or gives anything but a score for each text.
        """
        if not texts:
            return np.zeros(0, np.float32)
        query, *texts = map(sendable, (query, *texts))
        while True:
            try:
                return await self._api.tried(partial(self._once, query, texts), attempts=WAITED_FOR_ATTEMPTS)
            except ModelError as error:
                longest = max(map(len, (query, *texts)))
                if error.error_code is not ErrorCode.TOO_LARGE or longest <= SHORTEST:
                    raise
            query, *texts = (text[: longest // 2] for text in (query, *texts))

    async def _once(self, query: str, texts: Sequence[str]) -> Scores:
        endpoint = self.endpoint
        tokens = len(texts) * estimated_tokens(query) + sum(map(estimated_tokens, texts))
        async with self._context.meter(endpoint.call("rerank", tokens=tokens)) as spent:
            content = await self._api.post(json.dumps(endpoint.body(query, texts)).encode())
            with answered():
                scores, counted = self._read(content, len(texts))
            if counted is not None:
                spent.input_tokens = counted
        return scores

    def _read(self, content: bytes, expected: int) -> tuple[Scores, int | None]:
        try:
            reply = self.endpoint.read(json.loads(content))
            places = [place for place, _ in reply.scores]
            scores = np.array([_number(score) for _, score in reply.scores], np.float32)
            if not all(type(place) is int for place in places):
                raise TypeError("not places")
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"{self.name} gave no usable reply",
                hint="check that its server has this API, and that the model is one for reranking",
            ) from error
        if sorted(places) != list(range(expected)):
            raise ModelError(
                f"{self.name} gave {len(places)} scores for {expected} texts, or not one for each",
                hint="try again, or choose another model",
            )
        return scores[np.argsort(places)], reply.tokens


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= HIGHEST:
        raise ValueError("not a score")
    return float(value)

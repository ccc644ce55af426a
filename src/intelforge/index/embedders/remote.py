"""An embedding model behind an HTTP API: what all of them share.

Texts are split where they are too long, sorted by length, sent in batches, several at once, and each request is tried
again when its failure may pass.
"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.index.embedders.endpoint import Endpoint
from intelforge.index.embedders.pieces import combine, estimated_tokens, halves, split, unit
from intelforge.index.embedders.requests import Requests
from intelforge.index.model_api import sendable
from intelforge.index.protocol import TextKind, Vectors

AT_ONCE: Final = 128
"""texts"""
CONCURRENT: Final = 4
"""requests under way"""
BATCH_TOKENS: Final = 32_768
"""of one request, by estimate"""
QUERY_SECONDS: Final = 20.0
"""Someone waits for a search, which goes on by words alone when its embedding takes longer."""
SHORTEST: Final = 64
"""characters; a server that finds these too long means something else"""


class RemoteEmbedder:
    """The embedder of one endpoint. Any number of calls may be under way."""

    tokenizer: Path | None = None
    at_once = AT_ONCE

    def __init__(self, endpoint: Endpoint, requests: Requests) -> None:
        self.endpoint = endpoint
        self._requests = requests
        self._limit = asyncio.Semaphore(CONCURRENT)
        self._dimensions = endpoint.facts.dimensions

    @property
    def name(self) -> str:
        return self.endpoint.name

    @property
    def local(self) -> bool:
        return self.endpoint.local

    @property
    def dimensions(self) -> int:
        return self._dimensions

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        """Unit vectors in the order of the texts, shape (len(texts), dimensions).

        Raises ModelError when the model cannot be reached, refuses, or gives what no vectors can be made of.
        """
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        if kind is TextKind.DOCUMENT:
            return await self._embed(texts, kind)
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                return await self._embed(texts, kind)
        except TimeoutError as error:
            raise ModelError(
                f"{self.name} did not embed the query within {QUERY_SECONDS:g} s",
                hint="try again once the model is loaded, or choose another",
                code=ErrorCode.TIMED_OUT,
            ) from error

    async def _embed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        facts = self.endpoint.facts
        room = max(SHORTEST, facts.max_tokens - estimated_tokens(facts.prefix(kind)))
        pieces, owners = list[str](), list[int]()
        for row, text in enumerate(texts):
            found = split(sendable(text), room)
            pieces += found
            owners += [row] * len(found)
        weights = [estimated_tokens(piece) for piece in pieces]
        rows = list(batches(weights, most_texts=self.endpoint.most_texts))
        vectors = np.concatenate(await self._all([[pieces[row] for row in batch] for batch in rows], kind))
        return combine(vectors[np.argsort(np.concatenate(rows))], owners, weights, len(texts))

    async def _all(self, groups: Sequence[Sequence[str]], kind: TextKind) -> list[Vectors]:
        """The vectors of each batch, in order. The first failure ends them all."""
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._limited(group, kind)) for group in groups]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in running]

    async def _limited(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        async with self._limit:
            return await self._batch(texts, kind)

    async def _batch(self, pieces: Sequence[str], kind: TextKind) -> Vectors:
        """One request, or several smaller ones when the server finds it too much."""
        prefix = self.endpoint.facts.prefix(kind)
        try:
            return self._checked(await self._requests.send([prefix + piece for piece in pieces], kind))
        except ModelError as error:
            if error.error_code is not ErrorCode.TOO_LARGE or (len(pieces) == 1 and len(pieces[0]) <= SHORTEST):
                raise
        if len(pieces) == 1:
            parts = halves(pieces[0])
            found = np.concatenate([await self._batch([part], kind) for part in parts])
            return combine(found, [0, 0], [estimated_tokens(part) for part in parts], 1)
        middle = len(pieces) // 2
        return np.concatenate([await self._batch(part, kind) for part in (pieces[:middle], pieces[middle:])])

    def _checked(self, vectors: Vectors) -> Vectors:
        width = vectors.shape[1]
        if self._dimensions not in (0, width):
            raise ModelError(
                f"{self.name} gave vectors of {width} dimensions instead of {self._dimensions}",
                hint="its server has another model; name that one, or set ?dimensions=",
                code=ErrorCode.UNSUPPORTED,
            )
        self._dimensions = width
        return unit(vectors)


def batches(weights: Sequence[int], *, most_texts: int) -> Iterator[list[int]]:
    """Rows of texts of similar length, at most `most_texts` and BATCH_TOKENS together, longest first."""
    batch, tokens = list[int](), 0
    for row in sorted(range(len(weights)), key=lambda row: -weights[row]):
        if batch and (len(batch) == most_texts or tokens + weights[row] > BATCH_TOKENS):
            yield batch
            batch, tokens = [], 0
        batch.append(row)
        tokens += weights[row]
    if batch:
        yield batch

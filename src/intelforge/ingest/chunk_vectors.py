"""Vectors of chunks: taken from a store that has them, else made by the embedder."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from intelforge.core.values import Chunk
from intelforge.index.protocol import Embedder, Vectors, VectorStore


class ChunkVectors:
    """Where the vectors of one embedder come from."""

    def __init__(
        self, embedder: Embedder, *, donor: VectorStore | None = None, idle: asyncio.Event | None = None
    ) -> None:
        """`donor` is a store that has vectors of the same embedder, which are then taken from there.

        `idle` is cleared while someone waits for an answer: nothing is made until it is set again.
        """
        self.embedder = embedder
        self._donor = donor
        self._idle = idle

    async def of(self, chunks: Sequence[Chunk], stopped: Callable[[], bool]) -> Vectors | None:
        """Vectors in the order of the chunks, shape (len(chunks), dimensions); None when stopped on the way."""
        given = await self._donor.vectors([chunk.id for chunk in chunks]) if self._donor else {}
        missing = [chunk for chunk in chunks if chunk.id not in given]
        made = await self._made(missing, stopped) if missing else None
        if missing and made is None:
            return None
        found = {**given, **{chunk.id: made[row] for row, chunk in enumerate(missing) if made is not None}}
        return np.stack([found[chunk.id] for chunk in chunks])

    async def _made(self, chunks: Sequence[Chunk], stopped: Callable[[], bool]) -> Vectors | None:
        order = sorted(range(len(chunks)), key=lambda row: chunks[row].tokens)
        found: list[Vectors] = []
        for start in range(0, len(order), self.embedder.at_once):
            if self._idle:
                await self._idle.wait()
            if stopped():
                return None
            rows = order[start : start + self.embedder.at_once]
            found.append(await self.embedder.embed([chunks[row].embedding_text for row in rows]))
        return np.concatenate(found)[np.argsort(order)]

"""An embedder that remembers: what was embedded before comes from the cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intelforge.index.embedders.cache import EmbeddingCache, Vector, cache_key
from intelforge.index.protocol import Embedder, TextKind, Vectors


@dataclass(frozen=True, slots=True)
class CachedEmbedder:
    """Any embedder behind the cache that all of a workspace share. Equal texts of one call are embedded once."""

    embedder: Embedder
    cache: EmbeddingCache

    @property
    def name(self) -> str:
        return self.embedder.name

    @property
    def local(self) -> bool:
        return self.embedder.local

    @property
    def dimensions(self) -> int:
        return self.embedder.dimensions

    @property
    def at_once(self) -> int:
        return self.embedder.at_once

    @property
    def tokenizer(self) -> Path | None:
        return self.embedder.tokenizer

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        """Vectors in the order of the texts, shape (len(texts), dimensions). Raises what the embedder raises."""
        if not texts:
            return await self.embedder.embed([], kind=kind)
        keys = [cache_key(self.name, kind, text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        found = await self.cache.get(list(wanted))
        fresh = await self._fresh({key: text for key, text in wanted.items() if key not in found}, kind)
        if len({len(vector) for vector in (found | fresh).values()}) > 1:
            # The server behind the name has another model than it had.
            found, fresh = {}, await self._fresh(wanted, kind)
        every = found | fresh
        return np.stack([every[key] for key in keys])

    async def _fresh(self, wanted: dict[bytes, str], kind: TextKind) -> dict[bytes, Vector]:
        if not wanted:
            return {}
        vectors = await self.embedder.embed(list(wanted.values()), kind=kind)
        # Copies: a row that is kept would keep its whole batch in memory.
        fresh = dict(zip(wanted, map(np.copy, vectors), strict=True))
        await self.cache.put(fresh)
        return fresh

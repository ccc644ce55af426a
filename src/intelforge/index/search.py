"""One search over both parts of the index."""

import asyncio

from intelforge.core.errors import ModelError
from intelforge.index.fusion import Fused, fuse, vector_weight
from intelforge.index.protocol import Embedder, Scored, VectorStore

__all__ = ["Fused", "search"]

DEPTH = 100
"""candidates of each part; fusion needs more than it gives back"""


async def search(query: str, *, store: VectorStore, embedder: Embedder | None, limit: int) -> list[Fused]:
    """The best `limit` chunks, best first. By words alone when there is no embedder, or its model fails.

    Raises InvalidInputError for a limit below one, StorageError when the store cannot be read.
    """
    depth = max(DEPTH, limit)
    lexical, vector = await asyncio.gather(
        store.search(query, limit=depth), _by_vector(query, store=store, embedder=embedder, limit=depth)
    )
    return fuse(lexical, vector, weight=vector_weight(query) if vector else 0.0, limit=limit)


async def _by_vector(query: str, *, store: VectorStore, embedder: Embedder | None, limit: int) -> list[Scored]:
    if embedder is None or not query.strip():
        return []
    try:
        [vector] = await embedder.embed([query])
    except ModelError:
        return []
    return await store.search(vector, limit=limit)

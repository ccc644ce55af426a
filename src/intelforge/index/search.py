"""One search over both parts of the index."""

import asyncio

from intelforge.core.errors import InvalidInputError, ModelError
from intelforge.index.fusion import Fused, fuse, vector_weight
from intelforge.index.protocol import EVERYTHING, Embedder, Filter, Scored, TextKind, VectorStore

__all__ = ["Fused", "search"]

DEPTH = 100
"""candidates of each part; fusion needs more than it gives back"""


async def search(
    query: str,
    *,
    store: VectorStore,
    embedder: Embedder | None,
    limit: int,
    embedded: float = 1.0,
    where: Filter = EVERYTHING,
) -> list[Fused]:
    """The best `limit` chunks, best first. By words alone when there is no embedder, or its model fails.

    `embedded` is the share of all chunks that have a vector, in [0, 1]: the vector part counts that much less.

    Raises InvalidInputError for a limit below one, StorageError when the store cannot be read.
    """
    if limit < 1:
        raise InvalidInputError(f"a search for {limit} chunks finds nothing", hint="ask for one or more")
    depth = max(DEPTH, limit)
    lexical, vector = await asyncio.gather(
        store.search(query, limit=depth, where=where),
        _by_vector(query, store=store, embedder=embedder, limit=depth, where=where),
    )
    return fuse(lexical, vector, weight=vector_weight(query, embedded=embedded) if vector else 0.0, limit=limit)


async def _by_vector(
    query: str, *, store: VectorStore, embedder: Embedder | None, limit: int, where: Filter
) -> list[Scored]:
    if embedder is None or not query.strip():
        return []
    try:
        [vector] = await embedder.embed([query], kind=TextKind.QUERY)
    except ModelError:
        return []
    return await store.search(vector, limit=limit, where=where)

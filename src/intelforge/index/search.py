"""One search over both parts of the index."""

import asyncio
from dataclasses import dataclass

from intelforge.core.errors import InvalidInputError, ModelError
from intelforge.index.center import Center
from intelforge.index.fusion import Fused, fuse, vector_weight
from intelforge.index.protocol import EVERYTHING, Embedder, Filter, Scored, TextKind, VectorStore

__all__ = ["Fused", "Index", "search"]

DEPTH = 100
"""candidates of each part; fusion needs more than it gives back"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is searched, and what is known of all of it."""

    store: VectorStore
    embedder: Embedder | None = None
    center: Center | None = None
    """of the vectors"""
    embedded: float = 1.0
    """the share of all chunks that have a vector, in [0, 1]: the vector part counts that much less"""


async def search(query: str, index: Index, *, limit: int, where: Filter = EVERYTHING) -> list[Fused]:
    """The best `limit` chunks, best first. By words alone when there is no embedder, or its model fails.

    Raises InvalidInputError for a limit below one, StorageError when the store cannot be read.
    """
    if limit < 1:
        raise InvalidInputError(f"a search for {limit} chunks finds nothing", hint="ask for one or more")
    depth = max(DEPTH, limit)
    lexical, vector = await asyncio.gather(
        index.store.search(query, limit=depth, where=where), _by_vector(query, index, limit=depth, where=where)
    )
    return fuse(
        lexical, vector, weight=vector_weight(query, lexical, embedded=index.embedded) if vector else 0.0, limit=limit
    )


async def _by_vector(query: str, index: Index, *, limit: int, where: Filter) -> list[Scored]:
    if index.embedder is None or not query.strip():
        return []
    try:
        [vector] = await index.embedder.embed([query], kind=TextKind.QUERY)
    except ModelError:
        return []
    return await index.store.search(index.center.leave(vector) if index.center else vector, limit=limit, where=where)

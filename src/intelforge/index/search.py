"""One search over both parts of the index."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from intelforge.core.errors import IntelForgeError, ModelError, StorageError
from intelforge.index.catch_up import CatchUp
from intelforge.index.center import Center
from intelforge.index.fusion import LEXICAL, VECTOR, Fused, Weighing, fuse, weigh
from intelforge.index.protocol import EVERYTHING, Embedder, Filter, Scored, TextKind, Vectors, VectorStore
from intelforge.index.store_rules import check_limit

__all__ = ["Found", "Fused", "Index", "search"]

DEPTH: Final = 100
"""candidates of each part; fusion needs more than it gives back"""
DEPTHS: Final = (DEPTH, 500, 2000)
"""the candidates that scores are scaled over: few steps, so that the order is seldom another when more are asked for"""
EMBEDDED: Final = 4000
"""characters of a query that are embedded: they say what a longer one is about"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is searched, and what is known of all of it."""

    store: VectorStore
    embedder: Embedder | None = None
    center: Center | None = None
    """of the vectors"""
    embedded: float = 1.0
    """the share of all chunks that have a vector, in [0, 1]: the vector part counts that much less"""
    catch_up: CatchUp | None = None
    """embeds candidates that have none, when there is time for it"""
    notes: tuple[str, ...] = ()
    """what whoever searches it should know"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best chunks, best first, and how they were found."""

    hits: Sequence[Fused]
    candidates: Mapping[str, Sequence[Scored]]
    """by part, best first; of `lexical` perhaps more than were fused"""
    weighing: Weighing
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float]
    """`words` and `meaning`, which run side by side, and `embedding` of candidates that had no vector"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    found: Sequence[Scored]
    seconds: float
    error: IntelForgeError | None


async def search(
    query: str,
    index: Index,
    *,
    limit: int,
    where: Filter = EVERYTHING,
    like: Vectors | None = None,
    at_least: int = 0,
) -> Found:
    """The best `limit` chunks, best first. By one part alone when the other fails or there is none; a note says so.

    With `like`, a vector of shape (dimensions,), it is the nearest to that. `at_least` so many candidates by words are
    looked for, of which no more count than otherwise. Raises InvalidInputError for a limit below one, and what the
    words raised when both parts fail.
    """
    check_limit(limit)
    depth = next((depth for depth in DEPTHS if depth >= limit), limit)
    words, meaning = await asyncio.gather(
        _timed(index.store.search(query, limit=max(depth, at_least), where=where)),
        _timed(_by_vector(query, index, like, limit=depth, where=where)),
    )
    if words.error and (meaning.error or (index.embedder is None and like is None)):
        raise words.error
    lexical, vector, embedded = words.found[:depth], meaning.found, index.embedded
    seconds = {"words": words.seconds, "meaning": meaning.seconds}
    notes = [*index.notes, *_notes(words.error, meaning.error)]
    if index.catch_up and not (like is not None or words.error or meaning.error):
        began = time.perf_counter()
        try:
            vector, embedded = await index.catch_up(query[:EMBEDDED], lexical, vector, depth=depth)
        except StorageError as error:
            notes.append(f"vectors cannot be read ({error}): none were made for what has none yet")
        seconds["embedding"] = time.perf_counter() - began
    if like is not None or words.error:
        weighing = Weighing(vector=1.0, why="only vectors are compared")
    elif not vector:
        weighing = Weighing(vector=0.0, why="only words are compared")
    else:
        weighing = weigh(query, lexical, embedded=embedded)
    return Found(
        hits=fuse(lexical, vector, weight=weighing.vector, limit=limit),
        candidates={LEXICAL: words.found, VECTOR: vector},
        weighing=weighing,
        notes=tuple(notes),
        seconds=seconds,
    )


async def _by_vector(query: str, index: Index, like: Vectors | None, *, limit: int, where: Filter) -> Sequence[Scored]:
    if like is not None:
        return await index.store.search(like, limit=limit, where=where)
    if index.embedder is None or not query.strip():
        return []
    [vector] = await index.embedder.embed([query[:EMBEDDED]], kind=TextKind.QUERY)
    return await index.store.search(index.center.leave(vector) if index.center else vector, limit=limit, where=where)


async def _timed(part: Awaitable[Sequence[Scored]]) -> _Part:
    began = time.perf_counter()
    found: Sequence[Scored] = ()
    error = None
    try:
        found = await part
    except IntelForgeError as raised:
        error = raised
    return _Part(found=found, seconds=time.perf_counter() - began, error=error)


def _notes(words: IntelForgeError | None, meaning: IntelForgeError | None) -> list[str]:
    notes = []
    if words:
        notes.append(f"words cannot be looked up ({words}): these are found by meaning alone")
    if isinstance(meaning, ModelError):
        notes.append(f"the query cannot be embedded ({meaning}): these are found by words alone")
    elif meaning:
        notes.append(f"vectors cannot be searched ({meaning}): these are found by words alone")
    return notes

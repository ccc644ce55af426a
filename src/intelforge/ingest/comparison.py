"""Holds the vectors of two stores against each other, after one was filled from the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from intelforge.core.reports import Progress, Stage
from intelforge.index.protocol import VectorStore
from intelforge.store.standings import Standings

AT_ONCE = 1000
"""vectors compared at once"""
SAME = 0.999
"""cosine from which on two vectors are the same: stores keep them with different precision"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How many vectors were compared, and the documents with one that differs or is missing."""

    compared: int
    differing: frozenset[str]


class Comparison:
    """Of what a store was given with what it holds."""

    def __init__(self, standings: Standings, store: VectorStore, original: VectorStore) -> None:
        self._standings = standings
        self._store = store
        self._original = original

    async def run(self, *, report: Callable[[Progress], None], stopped: Callable[[], bool]) -> Compared:
        """Compares every vector that both should hold; what the original does not have is left out."""
        vectors = {key: standing.vectors for key, standing in (await self._standings.all()).items()}
        total, seen, compared, differing = sum(vectors.values()), 0, 0, set[str]()
        for chunk_ids in _parts(vectors):
            if stopped():
                break
            given, held = await self._original.vectors(chunk_ids), await self._store.vectors(chunk_ids)
            differing |= {
                key.rpartition(":")[0]
                for key, vector in given.items()
                if key not in held or float(vector @ held[key]) < SAME
            }
            compared += len(given)
            seen += len(chunk_ids)
            report(Progress(stage=Stage.COMPARING, done=seen, total=total, unit="chunks"))
        return Compared(compared=compared, differing=frozenset(differing))


def _parts(vectors: dict[str, int]) -> Iterator[list[str]]:
    part: list[str] = []
    for document_id, number in sorted(vectors.items()):
        for ordinal in range(number):
            part.append(f"{document_id}:{ordinal}")
            if len(part) == AT_ONCE:
                yield part
                part = []
    if part:
        yield part

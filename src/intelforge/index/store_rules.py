"""What every vector store holds to, whatever keeps it: what it may be asked, and the order of what it finds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from intelforge.core.errors import InvalidInputError
from intelforge.index.protocol import Filter, Held, Scored, Vectors

K1: Final = 1.2
B: Final = 0.75
"""of BM25, as Robertson and Zaragoza (2009) recommend"""


def document_of(chunk_id: str) -> str:
    """`<document id>:<ordinal>` gives the document id."""
    return chunk_id.rpartition(":")[0]


def check_vectors(chunk_ids: Sequence[str], vectors: Vectors) -> None:
    """Raises InvalidInputError unless each chunk has one vector."""
    if len(chunk_ids) != len(vectors):
        raise InvalidInputError(f"{len(chunk_ids)} chunks were given {len(vectors)} vectors")


def check_limit(limit: int) -> None:
    """Raises InvalidInputError for a search that could find nothing."""
    if limit < 1:
        raise InvalidInputError(f"a search for {limit} chunks finds nothing", hint="ask for one or more")


def admits_nothing(where: Filter) -> bool:
    """Nothing is one of none: such a filter is not sent to a server, which may read it otherwise."""
    return not all(where.any_of) or where.documents == frozenset()


def ranked(hits: Iterable[Scored], limit: int) -> list[Scored]:
    """The best of them, best first, and by id where they are equally good."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))[:limit]


def phrases_first(found: Iterable[Scored], holding: Iterable[Scored]) -> list[Scored]:
    """All of them in no order, those that hold a quoted phrase with scores above all others."""
    by_id, lifted = {hit.chunk_id: hit for hit in found}, {hit.chunk_id: hit for hit in holding}
    bonus = max((hit.score for hit in (*by_id.values(), *lifted.values())), default=0.0)
    raised = {key: Scored(key, hit.document_id, hit.score + bonus) for key, hit in lifted.items()}
    return list((by_id | raised).values())


def held_by_document(chunks: Mapping[str, int], vectors: Mapping[str, int]) -> Mapping[str, Held]:
    """The inventory, from how many of each a document has."""
    return {key: Held(chunks.get(key, 0), vectors.get(key, 0)) for key in chunks.keys() | vectors.keys()}

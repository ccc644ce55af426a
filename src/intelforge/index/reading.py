"""Reads from the database what the index found: chunks with their text, and the places where their documents are."""

from collections.abc import Mapping, Sequence

from intelforge.core.values import EVERYONE, Hit, SourceKind
from intelforge.index.search import Fused
from intelforge.store.documents import Documents, Place, chunk_value


async def read_hits(documents: Documents, found: Sequence[Fused], places: Mapping[str, Sequence[Place]]) -> list[Hit]:
    """A hit for each chunk found that the database has, in their order; each document must have a place."""
    keys = {entry.chunk_id: _key(entry.chunk_id) for entry in found}
    rows = await documents.chunks(list(keys.values()))
    texts = await documents.texts({entry.document_id for entry in found})
    hits: list[Hit] = []
    for entry in found:
        row = rows.get(keys[entry.chunk_id])
        if row is None or entry.document_id not in texts:
            continue
        title, text = texts[entry.document_id]
        first, *others = places[entry.document_id]
        first_line = text.count("\n", 0, row.start_char) + 1
        hits.append(
            Hit(
                chunk=chunk_value(row, text),
                score=entry.score,
                scores=entry.scores,
                source_id=first.source_id,
                uri=first.uri,
                location=location(first),
                title=title,
                duplicates=_elsewhere(first, others),
                first_line=first_line,
                last_line=first_line + text.count("\n", row.start_char, row.end_char),
                explanation=entry.parts,
            )
        )
    return hits


def may_see(places: Mapping[str, Sequence[Place]], principals: Sequence[str]) -> dict[str, list[Place]]:
    """The places these principals may see, by document id; documents without any are left out."""
    allowed = {EVERYONE, *principals}
    seen = {
        document_id: [place for place in found if allowed.intersection(place.access)]
        for document_id, found in places.items()
    }
    return {document_id: found for document_id, found in seen.items() if found}


def location(place: Place) -> str:
    """What a user can open: an absolute path or a URL."""
    if place.source_kind in (SourceKind.FILE, SourceKind.WEB):
        return place.source_uri
    return f"{place.source_uri.rstrip('/')}/{place.uri}"


def _elsewhere(first: Place, others: Sequence[Place]) -> tuple[str, ...]:
    """The other locations, each once: one file may belong to several sources."""
    return tuple(place for place in dict.fromkeys(map(location, others)) if place != location(first))


def _key(chunk_id: str) -> tuple[str, int]:
    document_id, _, ordinal = chunk_id.rpartition(":")
    return document_id, int(ordinal)

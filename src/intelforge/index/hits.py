"""Turns what the index found into hits: current documents only, for the caller's principals only, with their places.

The database has the last word: a chunk whose document no item has any more is left out, whatever the index says.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from intelforge.core.errors import ErrorCode, ModelError, StorageError
from intelforge.core.values import EVERYONE, Hit, SourceKind
from intelforge.index.analysis import terms_text
from intelforge.index.center import load_center
from intelforge.index.protocol import EVERYTHING, Embedder, Filter, VectorStore
from intelforge.index.query import joined
from intelforge.index.rerank import MOST as RERANKED_MOST
from intelforge.index.rerank import Reranker, rerank
from intelforge.index.search import Fused, Index, search
from intelforge.store.documents import Documents, Place, chunk_value
from intelforge.store.facts import Facts

MORE: Final = 4
"""times as many candidates each time the index was behind the database on too many of them"""
MOST: Final = 2000
"""candidates at the most"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which documents a search may see, and which chunks of them."""

    principals: Sequence[str] = (EVERYONE,)
    sources: tuple[str, ...] = ()
    """ids, one of which must have the document; empty for any"""
    where: Filter = EVERYTHING
    excluded: tuple[str, ...] = ()
    """words and phrases a chunk must not hold"""

    @property
    def filter(self) -> Filter:
        """The scope as the index knows it: what it lets through is still held against the database."""
        groups = [frozenset(f"principal:{principal}" for principal in (EVERYONE, *self.principals))]
        if self.sources:
            groups.append(frozenset(f"source:{source_id}" for source_id in self.sources))
        return joined(Filter(any_of=tuple(groups)), self.where)


class Retriever:
    """Searches the index and gives hits."""

    def __init__(
        self,
        documents: Documents,
        facts: Facts,
        store: VectorStore,
        embedder: Embedder | None,
        *,
        reranker: Reranker | None = None,
    ) -> None:
        self._reranker = reranker
        self._documents = documents
        self._facts = facts
        self._store = store
        self._embedder = embedder

    async def search(self, query: str, *, limit: int, scope: Scope, rerank_seconds: float = 0.0) -> list[Hit]:
        """The best `limit` chunks of the documents in scope, best first; with some time, after a closer look at them.

        A reranker that fails leaves the order of the search.
        """
        if self._reranker is None or rerank_seconds <= 0 or not query.strip():
            return await self._search(query, limit, scope)
        hits = await self._search(query, max(limit, RERANKED_MOST), scope)
        with suppress(ModelError):
            hits = await rerank(query, hits, self._reranker, seconds=rerank_seconds)
        return hits[:limit]

    async def _search(self, query: str, limit: int, scope: Scope) -> list[Hit]:
        candidates, where = limit, scope.filter
        index = await self._index()
        while True:
            found = await search(query, index, limit=candidates, where=where)
            if not found:
                await self._refuse_emptied()
            places = await self._visible({entry.document_id for entry in found}, scope)
            hits = await self._hits([entry for entry in found if entry.document_id in places], places)
            kept = [hit for hit in hits if not _holds_any(hit, scope.excluded)]
            if len(kept) >= limit or len(found) < candidates or candidates >= MOST:
                return kept[:limit]
            candidates = min(MOST, candidates * MORE)

    async def _index(self) -> Index:
        """The store with what is known of all it holds."""
        name = self._embedder.name if self._embedder else ""
        counts = await self._documents.counts(name)
        return Index(
            store=self._store,
            embedder=self._embedder,
            center=await load_center(self._facts, name) if self._embedder else None,
            embedded=counts.embedded / counts.chunks if self._embedder and counts.chunks else 0.0,
        )

    async def _refuse_emptied(self) -> None:
        """Raises StorageError when the index holds nothing of what the database says it does."""
        if (await self._documents.counts("")).indexed and not (await self._store.count()).chunks:
            raise StorageError(
                "the index is empty although the database has documents",
                hint="run: intelforge sync (it rebuilds the index from the database)",
                code=ErrorCode.DAMAGED,
            )

    async def _visible(self, document_ids: Collection[str], scope: Scope) -> dict[str, list[Place]]:
        return may_see(await self._documents.places(document_ids, sources=scope.sources), scope.principals)

    async def _hits(self, found: Sequence[Fused], places: Mapping[str, Sequence[Place]]) -> list[Hit]:
        keys = {entry.chunk_id: _key(entry.chunk_id) for entry in found}
        rows = await self._documents.chunks(list(keys.values()))
        texts = await self._documents.texts({entry.document_id for entry in found})
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
                )
            )
        return hits


def _holds_any(hit: Hit, excluded: Sequence[str]) -> bool:
    said = f" {terms_text(hit.chunk.embedding_text)} ".lower()
    return any(f" {terms_text(words)} ".lower() in said for words in excluded)


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

"""Turns what the index found into hits: current documents only, for the caller's principals only, with their places.

The database has the last word: a chunk whose document no item has any more is left out, whatever the index says.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, ParamSpec

from intelforge.core.errors import BudgetError, ErrorCode, ModelError, StorageError
from intelforge.core.search import SearchPlan, SearchResult
from intelforge.core.values import EVERYONE, Hit
from intelforge.index.analysis import terms_text
from intelforge.index.catch_up import CatchUp, TimeLeft
from intelforge.index.center import load_center
from intelforge.index.cursor import Page
from intelforge.index.explain import plan_of, with_rerank
from intelforge.index.facets import FACETED, count_facets
from intelforge.index.highlight import highlights
from intelforge.index.mmr import diversify
from intelforge.index.options import PLAIN, Options
from intelforge.index.protocol import EVERYTHING, Embedder, Filter, Vectors, VectorStore
from intelforge.index.query import joined
from intelforge.index.reading import may_see, read_hits
from intelforge.index.rerank import MOST as RERANKED_MOST
from intelforge.index.rerank import Reranker, rerank
from intelforge.index.search import DEPTH, Found, Fused, Index, search
from intelforge.index.spelling import corrected, doubtful, respelled
from intelforge.store.documents import Documents, Place
from intelforge.store.facts import Facts
from intelforge.store.standings import Counts, Standings

MORE: Final = 4
"""times as many candidates each time the index was behind the database on too many of them"""
MOST: Final = 2000
"""candidates at the most, beside the chunks of a document that others should be like"""
MANY: Final = 50
"""hits that take a while to compare or to highlight"""
Given = ParamSpec("Given")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    """The best chunks, read, and how they were found."""

    query: str
    """the words that were searched for"""
    hits: Sequence[Hit]
    more: bool
    found: Found
    plan: SearchPlan
    seconds: Mapping[str, float]


class Retriever:
    """Searches the index and gives hits."""

    def __init__(
        self,
        documents: Documents,
        standings: Standings,
        facts: Facts,
        store: VectorStore,
        embedder: Embedder | None,
        *,
        reranker: Reranker | None = None,
    ) -> None:
        self._reranker = reranker
        self._documents = documents
        self._standings = standings
        self._facts = facts
        self._store = store
        self._embedder = embedder

    async def search(
        self, query: str, *, limit: int, scope: Scope, rerank_seconds: float = 0.0, options: Options = PLAIN
    ) -> SearchResult:
        """The best `limit` chunks of the documents in scope, best first; with some time, after a closer look at them.

        A part that fails is left out, and a note says so. Raises StorageError when nothing can be searched.
        """
        result = await self._ranked(query, limit, scope, rerank_seconds, options)
        if not options.respell or options.like:
            return result
        began = time.perf_counter()
        instead = await self._respelled(query, result.hits, scope)
        spelling = {"spelling": time.perf_counter() - began}
        if not instead:
            return replace(result, seconds={**result.seconds, **spelling})
        query = corrected(query, instead)
        again = await self._ranked(query, limit, scope, rerank_seconds, options)
        told = ", ".join(f"{found!r} instead of {word!r}, which no text has" for word, found in instead.items())
        return replace(
            again,
            corrected=query,
            notes=(f"searched for {told}; write it in quotes to mean it to the letter", *again.notes),
            seconds={**_added(result.seconds, again.seconds), **spelling},
        )

    async def _ranked(
        self, query: str, limit: int, scope: Scope, rerank_seconds: float, options: Options
    ) -> SearchResult:
        looking = rerank_seconds > 0 and bool(query.strip())
        reranker, time_left = self._reranker if looking else None, TimeLeft(seconds=rerank_seconds)
        pool = max(limit, RERANKED_MOST) if looking or options.diverse else limit
        best = await self._best(query, pool, scope, options, time_left if looking else None)
        hits, notes, seconds = best.hits, [*best.found.notes], dict(best.seconds)
        if reranker:
            began = time.perf_counter()
            try:
                withheld = await self._withheld(hits, reranker, notes)
                looked = await rerank(query, hits, reranker, seconds=time_left.seconds, withheld=withheld)
                hits = with_rerank(hits, looked)
            except (ModelError, BudgetError) as error:
                notes.append(f"the closer look failed ({error}): the order is that of the search")
            seconds["rerank"] = time.perf_counter() - began
        if options.diverse:
            hits = await _apart(len(hits), diversify, hits, await self._vectors(hits, notes), limit=limit)
        shown = await _apart(min(limit, len(hits)), _finished, hits[:limit], best.query, explain=options.explain)
        page = options.page
        return SearchResult(
            hits=tuple(shown),
            notes=tuple(notes),
            facets=await self._facets(best.found, scope) if options.facets else {},
            offset=len(page.seen) if page else 0,
            cursor=_next(page, shown) if page and (best.more or len(hits) > limit) else "",
            seconds=seconds,
            plan=best.plan,
        )

    async def _best(self, query: str, limit: int, scope: Scope, options: Options, time_left: TimeLeft | None) -> _Best:
        """The best chunks that the database lets through, not shown on an earlier page."""
        counting = time.perf_counter()
        index, where, began = await self._index(time_left), scope.filter, time.perf_counter()
        seed, like = options.like, None
        if seed:
            like = seed.direction(await self._store.vectors(seed.chunk_ids))
            query, index = ("", index) if like is not None else (seed.words, replace(index, embedder=None))
        left_out = len(options.page.seen) if options.page else 0
        own = len(seed.chunk_ids) if seed else 0
        most = MOST + own
        candidates = min(most, max(limit + left_out + own + 1, DEPTH if options.priors else 0))
        spent: dict[str, float] = {"counts": began - counting}
        while True:
            found = await search(
                query, index, limit=candidates, where=where, like=like, at_least=FACETED if options.facets else 0
            )
            spent = _added(spent, found.seconds)
            if not found.hits:
                await self._refuse_emptied()
            places = await self._visible({entry.document_id for entry in found.hits}, scope)
            entries = await self._wanted([entry for entry in found.hits if entry.document_id in places], options)
            hits, all_read = await self._read(entries, places, limit, scope)
            exhausted = len(found.hits) < candidates or candidates >= most
            if len(hits) >= limit or exhausted:
                break
            candidates = min(most, candidates * MORE)
        if seed and found.hits and not hits and all(entry.document_id == seed.document_id for entry in found.hits):
            own_only = "the index gave nothing but the document's own chunks; give one of them, as DOCUMENT:NUMBER"
            found = replace(found, notes=(*found.notes, own_only))
        searching = max(spent["words"], spent["meaning"]) + spent.get("embedding", 0.0)
        return _Best(
            query=query,
            hits=hits,
            more=not (all_read and exhausted),
            found=found,
            plan=plan_of(query, where, found, index),
            seconds={**spent, "hits": time.perf_counter() - began - searching},
        )

    async def _wanted(self, found: Sequence[Fused], options: Options) -> Sequence[Fused]:
        """What the options leave of the chunks found, in their order."""
        if options.priors:
            attributes = await self._documents.attributes({entry.document_id for entry in found})
            found = options.priors.applied(found, attributes)
        if options.like:
            once: dict[str, Fused] = {}
            for entry in found:
                once.setdefault(entry.document_id, entry)
            once.pop(options.like.document_id, None)
            found = list(once.values())
        if options.page and options.page.seen:
            unseen = options.page.unseen(entry.chunk_id for entry in found)
            found = [entry for entry in found if entry.chunk_id in unseen]
        return found

    async def _read(
        self, found: Sequence[Fused], places: Mapping[str, Sequence[Place]], limit: int, scope: Scope
    ) -> tuple[list[Hit], bool]:
        """Up to `limit` hits, a few more chunks read while some fall out; and whether that was all."""
        hits: list[Hit] = []
        for start in range(0, len(found), limit):
            part = await read_hits(self._documents, found[start : start + limit], places)
            hits += [hit for hit in part if not _holds_any(hit, scope.excluded)]
            if len(hits) >= limit:
                return hits[:limit], len(hits) == limit and start + limit >= len(found)
        return hits, True

    async def _withheld(self, hits: Sequence[Hit], reranker: Reranker, notes: list[str]) -> set[str]:
        """Documents whose text the reranker may not be given, because it is not on this machine."""
        if await reranker.local():
            return set()
        withheld = await self._documents.local_only({hit.chunk.document_id for hit in hits})
        if withheld:
            notes.append(f"{reranker.name} is not on this machine: it did not look at what may only go to local models")
        return withheld

    async def _vectors(self, hits: Sequence[Hit], notes: list[str]) -> Mapping[str, Vectors]:
        try:
            return await self._store.vectors([hit.chunk.id for hit in hits])
        except StorageError as error:
            notes.append(f"vectors cannot be read ({error}): hits are compared by their words")
            return {}

    async def _facets(self, found: Found, scope: Scope) -> dict[str, dict[str, int]]:
        candidates = {hit.chunk_id: hit.document_id for part in found.candidates.values() for hit in part}
        places = await self._visible(set(candidates.values()), scope)
        if scope.excluded:
            entries = [
                Fused(chunk_id=chunk_id, document_id=document_id, score=0.0)
                for chunk_id, document_id in candidates.items()
                if document_id in places
            ]
            hits = await read_hits(self._documents, entries, places)
            kept = {hit.chunk.document_id for hit in hits if not _holds_any(hit, scope.excluded)}
            places = {document_id: found for document_id, found in places.items() if document_id in kept}
        return count_facets(places, await self._documents.attributes(places))

    async def _respelled(self, query: str, hits: Sequence[Hit], scope: Scope) -> dict[str, str]:
        async def seen(document_ids: Collection[str]) -> bool:
            return bool(await self._visible(document_ids, scope))

        words = doubtful(query, (hit.chunk.embedding_text for hit in hits))
        return await respelled(words, self._store, where=scope.filter, seen=seen)

    async def _index(self, time_left: TimeLeft | None) -> Index:
        """The store with what is known of all it holds; with some time, for making up for what it does not hold yet."""
        name = self._embedder.name if self._embedder else ""
        counts = await self._standings.recent_counts()
        index = Index(
            store=self._store,
            embedder=self._embedder,
            center=await load_center(self._facts, name) if self._embedder else None,
            embedded=counts.embedded / counts.chunks if self._embedder and counts.chunks else 0.0,
            notes=tuple(_limits(counts, self._embedder)),
        )
        if self._embedder is None or time_left is None or index.embedded >= 1:
            return index
        catch_up = CatchUp(
            documents=self._documents,
            store=self._store,
            embedder=self._embedder,
            center=index.center,
            embedded=index.embedded,
            time_left=time_left,
        )
        return replace(index, catch_up=catch_up)

    async def _refuse_emptied(self) -> None:
        """Raises StorageError when the index holds nothing of what the database says it does."""
        if (await self._standings.counts()).indexed and not (await self._store.count()).chunks:
            raise StorageError(
                "the index is empty although the database has documents",
                hint="run: intelforge sync (it rebuilds the index from the database)",
                code=ErrorCode.DAMAGED,
            )

    async def _visible(self, document_ids: Collection[str], scope: Scope) -> dict[str, list[Place]]:
        return may_see(await self._documents.places(document_ids, sources=scope.sources), scope.principals)


def _limits(counts: Counts, embedder: Embedder | None) -> Iterator[str]:
    """Without numbers: they would count what the caller may not see."""
    if counts.indexed < counts.chunks:
        yield "some chunks are not in the index yet; run: intelforge sync"
    if embedder and counts.left(local=embedder.local) > 0:
        yield "not all chunks are embedded yet; the ranking improves as more are"


async def _apart(
    hits: int, work: Callable[Given, list[Hit]], *arguments: Given.args, **options: Given.kwargs
) -> list[Hit]:
    """The work done at once, or in a thread when it is on many hits, so that others need not wait for it."""
    if hits <= MANY:
        return work(*arguments, **options)
    return await asyncio.to_thread(work, *arguments, **options)


def _finished(hits: Sequence[Hit], query: str, *, explain: bool) -> list[Hit]:
    return [
        replace(hit, highlights=highlights(hit.chunk.text, query), explanation=hit.explanation if explain else ())
        for hit in hits
    ]


def _next(page: Page, shown: Sequence[Hit]) -> str:
    """The cursor of the page after this one; empty where pages end."""
    following = page.after(hit.chunk.id for hit in shown)
    return following.cursor if shown and len(following.seen) < MOST else ""


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {part: one.get(part, 0.0) + other.get(part, 0.0) for part in (*one, *other)}


def _holds_any(hit: Hit, excluded: Sequence[str]) -> bool:
    said = f" {terms_text(hit.chunk.embedding_text)} ".lower()
    return any(f" {terms_text(words)} ".lower() in said for words in excluded)

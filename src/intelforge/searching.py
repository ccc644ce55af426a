"""The searching half of the workspace: what a caller asks for, taken apart, searched for within their access list."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from intelforge.collect.names import as_typed
from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.core.search import SearchRequest, SearchResult
from intelforge.core.values import EVERYONE, Document, Source
from intelforge.index.cursor import Page, read_cursor
from intelforge.index.hits import Scope
from intelforge.index.like import Seed
from intelforge.index.options import Options
from intelforge.index.paths import along
from intelforge.index.priors import Priors
from intelforge.index.protocol import Filter
from intelforge.index.query import EVERYWHERE, LONGEST, Query, alternatives, filter_of, joined, legible, parse_query
from intelforge.parts import Parts
from intelforge.store.searches import Search

MOST_ALONG_PATHS: Final = 50_000
"""documents a query's paths may hold: they are listed in the query to the index"""
SHORTEST_PREFIX: Final = 6
"""characters of a document id that are enough to name it"""


class Searching:
    """Searches of one workspace, and the names of its sources and documents."""

    def __init__(self, parts: Parts, *, clock: Clock = utc_now) -> None:
        self._parts = parts
        self._clock = clock

    async def search(self, request: SearchRequest, principals: Sequence[str]) -> SearchResult:
        """As `Workspace.search` says."""
        text = legible(request.query[:LONGEST])
        if not (text or request.like):
            raise InvalidInputError("the query is empty", hint="give some words, for example: intelforge search cancel")
        if request.limit < 1:
            raise InvalidInputError(f"the limit is {request.limit}", hint="give a number of 1 or more")
        question = repr((text, request.source, request.like, request.rerank, request.diverse))
        page = (
            read_cursor(request.cursor, question)
            if request.cursor
            else Page.first(question, at=self._clock().timestamp())
        )
        parsed = parse_query(text, alone=request.like is not None)
        settings = self._parts.settings
        with self._parts.answering():
            options = Options(
                explain=request.explain,
                facets=request.facets,
                diverse=request.diverse,
                respell=True,
                priors=Priors(
                    half_life_days=settings.search_recency_days,
                    quality_weight=settings.search_quality_weight,
                    at=page.at,
                ),
                page=page,
                like=await self._seed(request.like, principals) if request.like is not None else None,
            )
            retriever = await self._parts.retriever()
            result = await retriever.search(
                parsed.text,
                limit=request.limit,
                scope=await self.scope(request.source, principals, parsed, at=page.at),
                rerank_seconds=settings.rerank_seconds if request.rerank else 0.0,
                options=options,
            )
        long = f"the query is long: its first {LONGEST:,} characters are searched for"
        cut = [long] if len(request.query) > LONGEST else []
        notes = (*cut, *await self.lacking(reranking=request.rerank), *result.notes)
        return await self._recorded(replace(result, notes=notes), explain=request.explain)

    async def lacking(self, *, reranking: bool) -> tuple[str, ...]:
        """Which of the models that the settings name are not here, and why."""
        versions, models = self._parts.versions, self._parts.search_models
        embedder, away = versions.embedder_of(await versions.live_version())
        reasons = [str(models.embedder_error)] if models.embedder_error else []
        notes = [f"search is by words only: {reason}" for reason in (*reasons, *([away] if away else []))]
        if reranking and not models.reranker(embedder) and models.reranker_error:
            notes.append(f"nothing takes a closer look at hits: {models.reranker_error}")
        return tuple(notes)

    async def _recorded(self, result: SearchResult, *, explain: bool) -> SearchResult:
        """The result, put on record; a slow one with its plan, which now names the store."""
        spent = dict(result.seconds)
        seconds = sum(spent.values()) - min(spent["words"], spent["meaning"])
        slow = seconds > self._parts.settings.slow_search_seconds
        plan = result.plan if slow or explain else None
        if plan:
            plan = replace(plan, store=(await self._parts.versions.live_version()).url)
        self._parts.journal.add(Search(at=self._clock(), seconds=seconds, parts=spent, plan=plan if slow else None))
        return replace(result, plan=plan if explain else None)

    async def scope(
        self, source: str | None, principals: Sequence[str], query: Query = EVERYWHERE, *, at: float = 0.0
    ) -> Scope:
        """What a query may see. Its times are counted from `at`, in seconds since the epoch."""
        visible = await self._visible(principals)
        names = [*([source] if source is not None else []), *query.values("source")]
        wanted = [_named(name, visible) for name in names] or visible
        unwanted = [_named(name, visible) for name in query.values("source", negative=True)]
        kinds, unkinds = _kinds(query), _kinds(query, negative=True)
        chosen = [one.id for one in wanted if not kinds or one.kind in kinds]
        left_out = [one.id for one in (*unwanted, *(one for one in visible if one.kind in unkinds))]
        where = Filter(
            none_of=frozenset(f"source:{source_id}" for source_id in left_out),
            documents=await self._along(query, chosen) if chosen or not kinds else frozenset(),
        )
        return Scope(
            principals=principals,
            sources=tuple(chosen) if names or kinds else (),
            where=joined(filter_of(query, now=datetime.fromtimestamp(at, UTC)), where),
            excluded=query.excluded,
        )

    async def find_source(self, source: str) -> Source:
        """The source named by its id, the start of its id, or its URI. Raises NotFoundError, InvalidInputError."""
        return _named(source, await self._parts.sources.all())

    async def _visible(self, principals: Sequence[str]) -> list[Source]:
        """The sources these principals may see: to a search there are no others."""
        allowed = {EVERYONE, *principals}
        return [one for one in await self._parts.sources.all() if allowed.intersection(one.access)]

    async def find_document(self, document: str, principals: Sequence[str]) -> Document:
        """The document named by its id, the start of its id, or the path or URL of an item.

        Raises NotFoundError, also for what these principals may not see, and InvalidInputError.
        """
        document_id = await self._document_id(document, [one.id for one in await self._visible(principals)])
        found = await self._parts.documents.get(document_id) if document_id else None
        if found is None:
            raise NotFoundError(f"there is no document {document!r}", hint="search for it: intelforge search WORDS")
        return found

    async def _seed(self, like: str, principals: Sequence[str]) -> Seed:
        """The document, or its chunk when the name ends in a chunk's number as in `0f3a9c:2`."""
        name, colon, number = like.rpartition(":")
        ordinal = int(number) if colon and number.isdecimal() and len(number) < 10 else None
        try:
            document = await self.find_document(like, principals)
        except NotFoundError:
            if ordinal is None:
                raise
            document = await self.find_document(name, principals)
            chunks = [chunk for chunk in document.chunks if chunk.ordinal == ordinal]
            if not chunks:
                raise NotFoundError(
                    f"the document {name!r} has no chunk {ordinal}", hint=f"it has {len(document.chunks)}, from 0 on"
                ) from None
            return Seed(document_id=document.id, chunk_ids=[chunks[0].id], text=chunks[0].embedding_text)
        return Seed(document_id=document.id, chunk_ids=[chunk.id for chunk in document.chunks], text=document.text)

    async def _document_id(self, name: str, sources: Sequence[str]) -> str | None:
        if not _nameable(name):
            return None
        name, documents = as_typed(name), self._parts.documents
        if len(name) >= SHORTEST_PREFIX and (ids := await documents.matching(name, sources=sources)):
            if len(ids) > 1:
                raise InvalidInputError(f"{name!r} names more than one document", hint="give more of the id")
            return ids[0]
        return await documents.place_of(name, sources=sources) or await documents.place_of(
            _absolute(name), sources=sources
        )

    async def _along(self, query: Query, sources: Sequence[str]) -> frozenset[str] | None:
        """Ids of the documents of these sources the query's paths ask for; None when it names none.

        Raises InvalidInputError.
        """
        wanted, unwanted = query.values("path"), query.values("path", negative=True)
        if not (wanted or unwanted):
            return None
        found = await asyncio.to_thread(along, await self._parts.documents.paths(sources), wanted, unwanted)
        if len(found) > MOST_ALONG_PATHS:
            raise InvalidInputError(
                f"these paths hold {len(found):,} documents", hint="narrow them, or name a source: source:NAME"
            )
        return found


def _named(name: str, sources: Sequence[Source]) -> Source:
    path = _absolute(name) if _nameable(name) else name
    exact = [one for one in sources if one.uri == path or name in (one.id, one.uri)]
    found = exact or [one for one in sources if name and one.id.startswith(name)]
    if not found:
        raise NotFoundError(f"there is no source {name!r}", hint="run: intelforge sources")
    if len(found) > 1:
        raise InvalidInputError(f"{name!r} names {len(found)} sources", hint="give the whole id")
    return found[0]


def _kinds(query: Query, *, negative: bool = False) -> set[str]:
    return {kind for value in query.values("kind", negative=negative) for kind in alternatives(value)}


def _nameable(name: str) -> bool:
    """Whether it can be the name of anything: half a surrogate pair is no text and no byte of a path."""
    try:
        return b"\0" not in as_typed(name).encode()
    except UnicodeEncodeError:
        return False


def _absolute(name: str) -> str:
    """A path as sources and items have it, by its letters alone: what it names may be gone."""
    return as_typed(os.path.abspath(os.path.expanduser(name)))  # noqa: PTH100, PTH111

"""The parts of one workspace, each built when it is first needed and closed with the workspace."""

import asyncio
import functools
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from intelforge.collect.protocol import Collector
from intelforge.collect.registry import open_collector
from intelforge.core.errors import ErrorCode, IntelForgeError, StorageError
from intelforge.core.registry import load_backend
from intelforge.core.reports import IndexState, IndexVersion
from intelforge.core.settings import Settings
from intelforge.core.values import Source
from intelforge.index.embedders.cache import EmbeddingCache
from intelforge.index.embedders.cached import CachedEmbedder
from intelforge.index.embedders.url import hosts_of as embedder_hosts
from intelforge.index.hits import Retriever
from intelforge.index.journal import SearchJournal
from intelforge.index.model_context import ModelContext, RemoteCall
from intelforge.index.protocol import Embedder, VectorStore
from intelforge.index.rerank import Reranker, TokenEncoder
from intelforge.index.rerankers.context import RerankerContext
from intelforge.index.rerankers.url import NO_RERANKER
from intelforge.index.rerankers.url import hosts_of as reranker_hosts
from intelforge.models.ledger import Ledger, Usage
from intelforge.models.meter import ModelMeter
from intelforge.models.ollama import ollama_url
from intelforge.models.prices import GivenPrices
from intelforge.models.protocol import LanguageModel
from intelforge.models.targets import hosts_of
from intelforge.security.egress import Egress
from intelforge.store.budgets import Budgets
from intelforge.store.calls import Calls
from intelforge.store.database import Database, open_database
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.items import Items
from intelforge.store.leases import Leases, process_name
from intelforge.store.searches import Searches
from intelforge.store.sources import Sources
from intelforge.versions import BUILDING_LEASE, NO_EMBEDDER, Serving, Versions

if TYPE_CHECKING:
    from intelforge.ingest.build import Build
    from intelforge.ingest.embed import Embedding
    from intelforge.ingest.index import Indexer
    from intelforge.ingest.sync import SyncParts
    from intelforge.jobs.leases import LeaseHolder
    from intelforge.lending import Lending
    from intelforge.models.gateway import Gateway

STATE = ".intelforge"
"""the folder below the workspace that holds what IntelForge keeps"""
EMBEDDING_CACHE = "cache/embeddings.db"
"""below that folder"""
_LEFT_OUT = (ErrorCode.MISSING_MODEL, ErrorCode.REFUSED)
"""why search may go on without an embedder or a reranker: its weights are not here, or its key is not"""


class Parts:
    """Opens by URL what the settings name. Everything is closed by `close`, in reverse order."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings
        self._stack = AsyncExitStack()
        self._opening: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._stores: dict[tuple[str, int], VectorStore] = {}
        self._embedder: Embedder | None = None
        self._embedders_before: dict[str, Embedder | None] = {}
        self._reranker: Reranker | None = None
        self._reranked_by: Embedder | None = None
        self._models: dict[str, LanguageModel | None] = {}
        self._waiting = 0
        self.idle = asyncio.Event()
        """set while no one waits for an answer in this process"""
        self.idle.set()
        self.embedder_error: IntelForgeError | None = None
        """why there is no embedder although the settings name one"""
        self.reranker_error: IntelForgeError | None = None
        """why there is no reranker although the settings name one"""

    async def open(self) -> None:
        """Opens the database, unless it is open, and migrates it when it is behind. Raises StorageError."""
        if "database" not in vars(self):
            self.database: Database = await open_database(self.settings.database, root=self.root)
            self._stack.push_async_callback(self.database.close)
            with suppress(StorageError):  # whoever works meets the same error
                await self.calls.settle_crashed()

    async def close(self) -> None:
        await self._stack.aclose()

    def reconfigure(self, settings: Settings) -> None:
        """Goes on with other settings of index and embedder; what is open stays so."""
        if settings.embedder != self.settings.embedder:
            self._embedder = None
            if "egress" in vars(self):
                self.egress.allow(*embedder_hosts(settings.embedder, ollama_url=_ollama_url))
        self.settings = settings

    @functools.cached_property
    def sources(self) -> Sources:
        return Sources(self.database)

    @functools.cached_property
    def items(self) -> Items:
        return Items(self.database)

    @functools.cached_property
    def documents(self) -> Documents:
        return Documents(self.database)

    @functools.cached_property
    def facts(self) -> Facts:
        return Facts(self.database)

    @functools.cached_property
    def recorded_searches(self) -> Searches:
        return Searches(self.database)

    @functools.cached_property
    def journal(self) -> SearchJournal:
        """Puts searches on record, off their way."""
        journal = SearchJournal(self.recorded_searches)
        self._stack.push_async_callback(journal.close)
        return journal

    @functools.cached_property
    def leases(self) -> Leases:
        return Leases(self.database, owner=process_name())

    @functools.cached_property
    def calls(self) -> Calls:
        """The record of model calls."""
        calls = Calls(self.database, owner=self.leases.owner)
        self._stack.push_async_callback(calls.close)
        return calls

    @functools.cached_property
    def ledger(self) -> Ledger:
        """What every model call is entered in."""
        return Ledger(self.calls)

    @functools.cached_property
    def budgets(self) -> Budgets:
        return Budgets(self.database)

    @functools.cached_property
    def egress(self) -> Egress:
        """The way out. The hosts that settings name for models may be private: the user named them."""
        named = (
            *(host for url in (self.settings.llm, *self.settings.llm_models) for host in hosts_of(url)),
            *embedder_hosts(self.settings.embedder, ollama_url=_ollama_url),
            *reranker_hosts(self.settings.reranker, language_model_hosts=hosts_of),
        )
        allowed = {*self.settings.allow_hosts, *named}
        egress = Egress(
            allow_hosts=allowed, timeout=self.settings.web_timeout, max_redirects=self.settings.web_max_redirects
        )
        self._stack.push_async_callback(egress.close)
        return egress

    async def store(self, url: str, version: int) -> VectorStore:
        """The vector store at a URL for a version of the index. Raises StorageError when it cannot be opened."""
        key = (url, version)
        if key not in self._stores:
            async with self._opening[key]:  # each for itself: a slow server must not keep others waiting
                if key not in self._stores:
                    store: VectorStore = load_backend("vector_stores", url)(url, root=self.root, version=version)
                    self._stores[key] = await self._stack.enter_async_context(store)
        return self._stores[key]

    @functools.cached_property
    def versions(self) -> Versions:
        return Versions(
            self.database, lambda: self.settings, self.leases, open_store=self.store, open_embedder=self._embedder_at
        )

    @functools.cached_property
    def embedding_cache(self) -> EmbeddingCache:
        """The cache that indexing and searching share."""
        cache = EmbeddingCache(self.root / STATE / EMBEDDING_CACHE)
        self._stack.push_async_callback(cache.close)
        return cache

    def embedder(self) -> Embedder | None:
        """The embedder, behind the cache; None when the settings want none, or when it lacks its weights or key.

        `embedder_error` then says why.
        """
        if self._embedder is None and (embedder := self.uncached_embedder()):
            self._embedder = CachedEmbedder(embedder, self.embedding_cache)
        return self._embedder

    def uncached_embedder(self) -> Embedder | None:
        """A new embedder that computes what it is asked, for those who want to know whether it can."""
        if self.settings.embedder in NO_EMBEDDER:
            return None
        try:
            embedder = self._load_embedder(self.settings.embedder)
        except IntelForgeError as error:
            if error.error_code not in _LEFT_OUT:
                raise
            self.embedder_error = error
            return None
        self.embedder_error = None
        return embedder

    def _embedder_at(self, url: str) -> Embedder | None:
        """The embedder of the settings, or one that made an earlier version of the index. Raises ModelError."""
        if url == self.settings.embedder or url in NO_EMBEDDER:
            return self.embedder()
        if url not in self._embedders_before:
            self.egress.allow(*embedder_hosts(url, ollama_url=_ollama_url))
            self._embedders_before[url] = CachedEmbedder(self._load_embedder(url), self.embedding_cache)
        return self._embedders_before[url]

    def _load_embedder(self, url: str) -> Embedder:
        context = ModelContext(
            client=lambda: self._model_client, meter=self._metered, ollama_url=_ollama_url, root=self.root
        )
        embedder: Embedder = load_backend("embedders", url)(url, context=context)
        return embedder

    def reranker(self, embedder: Embedder | None) -> Reranker | None:
        """What looks closer at the best hits that were found with this embedder.

        None when the settings want nothing, or when it lacks its model or key; `reranker_error` then says why.
        """
        if self._reranker is None or self._reranked_by is not embedder:
            self._reranker, self._reranked_by = self._open_reranker(embedder), embedder
        return self._reranker

    def _open_reranker(self, embedder: Embedder | None) -> Reranker | None:
        url = self.settings.reranker
        if url in NO_RERANKER:
            return None
        encoder = embedder.embedder if isinstance(embedder, CachedEmbedder) else embedder
        context = RerankerContext(
            client=lambda: self._model_client,
            meter=self._metered,
            ollama_url=_ollama_url,
            root=self.root,
            encoder=encoder if isinstance(encoder, TokenEncoder) else None,
            language_model=self.language_model,
        )
        try:
            reranker: Reranker | None = load_backend("rerankers", url)(url, context=context)
        except IntelForgeError as error:
            if error.error_code not in _LEFT_OUT:
                raise
            self.reranker_error = error
            return None
        self.reranker_error = None
        return reranker

    def _metered(self, call: RemoteCall) -> AbstractAsyncContextManager[Usage]:
        return ModelMeter(self.ledger, self._prices)(call)

    @functools.cached_property
    def _model_client(self) -> httpx2.AsyncClient:
        client = self.egress.client(timeout=self.settings.llm_timeout)
        self._stack.push_async_callback(client.aclose)
        return client

    @functools.cached_property
    def gateway(self) -> "Gateway":
        """The one way to language models."""
        # Imported late: most commands ask no model.
        from intelforge.models.endpoint import Limits
        from intelforge.models.gateway import Gateway, Options
        from intelforge.models.resilience import RetryPolicy

        settings = self.settings
        limits = Limits(
            total=settings.llm_timeout,
            first_token=settings.llm_first_token_timeout,
            token=settings.llm_token_timeout,
            connect=settings.llm_connect_timeout,
            max_tokens=settings.llm_max_tokens,
        )
        options = Options(
            limits=limits,
            retry=RetryPolicy(retries=settings.llm_retries),
            hedge_seconds=settings.llm_hedge_seconds,
            record=str(self.root / settings.llm_record) if settings.llm_record else "",
        )
        return Gateway(
            client=self._model_client,
            ledger=self.ledger,
            options=options,
            lent=self.lending.lent,
            prices=self._prices,
        )

    @functools.cached_property
    def _prices(self) -> GivenPrices:
        return GivenPrices(self.lending.catalogue.given_prices)

    @functools.cached_property
    def lending(self) -> "Lending":
        """What is known of models, and the replies that are kept."""
        from intelforge.lending import Lending

        lending = Lending(
            self.root,
            self.settings,
            self.database,
            embedder=self._question_embedder,
            language_model=self.model,
        )
        self._stack.push_async_callback(lending.close)
        return lending

    async def _question_embedder(self) -> Embedder | None:
        return await asyncio.to_thread(self.embedder)

    async def model(self) -> LanguageModel | None:
        """The language model; None when there is none. Raises what opening it raises."""
        return await self.language_model("")

    async def language_model(self, url: str) -> LanguageModel | None:
        """The one that a URL names; the workspace's own when it is empty. One that is not there is looked for again."""
        url = url or self.settings.llm
        if url not in self._models:
            await self.lending.catalogue.load()
            found = await self.gateway.model(url)
            if found is None:
                return None
            self._models[url] = found
        return self._models[url]

    def collector(self, source: Source) -> Collector:
        """A collector of the source; the caller closes it."""
        return open_collector(source, settings=self.settings, egress=self.egress, state=self.root / STATE)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Makes background work stand back for the block: someone waits for an answer."""
        self._waiting += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self.idle.set()

    async def retriever(self) -> Retriever:
        """Over the version of the index that answers."""
        serving = await self.versions.live()
        reranker = self.reranker(serving.embedder)
        return Retriever(
            self.documents, serving.standings, self.facts, serving.store, serving.embedder, reranker=reranker
        )

    @asynccontextmanager
    async def syncing(self) -> AsyncIterator["SyncParts"]:
        """What a sync works with, open for the block. The job engine is imported here: nothing else needs it."""
        from intelforge.ingest.batch import Batch
        from intelforge.ingest.collectors import Collectors
        from intelforge.ingest.sync import SyncParts
        from intelforge.jobs.leases import LeaseHolder
        from intelforge.refine.pool import Refinery

        settings, embedder = self.settings, self.embedder()
        wanted = await self.versions.wanted()
        serving = await self.versions.live()
        refinery = Refinery(
            workers=settings.workers,
            seconds=settings.extract_seconds,
            memory_mb=settings.extract_memory_mb,
            tokenizer=embedder.tokenizer if embedder else None,
            chunk_tokens=settings.chunk_tokens,
        )
        collectors = Collectors(self.sources, self.collector)
        async with LeaseHolder(self.leases) as holder, refinery, self.calls.supervised():
            indexer = self.indexer(serving, holder)

            def batch(advanced: Callable[[int], None]) -> Batch:
                return Batch(
                    items=self.items,
                    indexer=indexer,
                    collector_of=collectors.of,
                    refine=refinery.refine_many,
                    advanced=advanced,
                )

            yield SyncParts(
                sources=self.sources,
                items=self.items,
                leases=self.leases,
                holder=holder,
                indexer=indexer,
                engine=self._engine(),
                batch=batch,
                embedding=None if wanted else self._embedding(serving, holder),
                build=functools.partial(self.build, wanted, holder) if wanted else None,
                collectors=collectors,
                batch_items=settings.batch_items,
            )

    async def build(
        self, version: IndexVersion, holder: "LeaseHolder", *, before_swap: Callable[[], None] = lambda: None
    ) -> "Build":
        """What fills a version beside the one that answers, and in the end lets it answer, after `before_swap`."""
        from intelforge.ingest.build import Build
        from intelforge.ingest.comparison import Comparison

        building = await self.versions.opened(version)
        donor = await self.versions.donor_of(version)

        @asynccontextmanager
        async def held(stopped: Callable[[], bool]) -> AsyncIterator[None]:
            lease = holder.hold(BUILDING_LEASE, detail="building an index version", stopped=stopped)
            async with self.versions.building, lease:
                yield

        async def pending() -> bool:
            found = await self.versions.record.in_state(IndexState.BUILDING)
            return found is not None and found.number == version.number

        async def swap() -> None:
            before_swap()
            await self.versions.record.go_live(version.number)

        return Build(
            building.standings,
            self.indexer(building, holder),
            self._embedding(building, holder, donor=donor),
            comparison=Comparison(building.standings, building.store, donor) if donor else None,
            held=held,
            pending=pending,
            swap=swap,
        )

    def indexer(self, serving: Serving, holder: "LeaseHolder") -> "Indexer":
        """The writer of a version's text."""
        from intelforge.ingest.index import Indexer

        return Indexer(self.documents, serving.standings, serving.store, holder)

    def _embedding(
        self, serving: Serving, holder: "LeaseHolder", *, donor: VectorStore | None = None
    ) -> "Embedding | None":
        from intelforge.ingest.embed import Embedding

        if serving.embedder is None:
            return None
        return Embedding(
            self.documents,
            serving.standings,
            serving.store,
            serving.embedder,
            holder,
            facts=self.facts,
            donor=donor,
            idle=self.idle,
        )

    def _engine(self) -> Any:
        return load_backend("job_engines", self.settings.jobs)(self.settings.jobs, database_url=self.database.jobs_url)


def _ollama_url() -> str:
    return ollama_url(os.environ)

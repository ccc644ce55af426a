"""The parts of one workspace, each built when it is first needed and closed with the workspace."""

import asyncio
import functools
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from intelforge.collect.protocol import Collector
from intelforge.collect.registry import open_collector
from intelforge.core.errors import StorageError
from intelforge.core.model_reports import ModelCheck
from intelforge.core.registry import load_backend
from intelforge.core.settings import Settings
from intelforge.core.values import Source
from intelforge.index.embedders.cache import EmbeddingCache
from intelforge.index.embedders.url import hosts_of as embedder_hosts
from intelforge.index.hits import Retriever
from intelforge.index.journal import SearchJournal
from intelforge.index.model_context import ModelContext, RemoteCall
from intelforge.index.protocol import Embedder, VectorStore
from intelforge.index.rerankers.url import hosts_of as reranker_hosts
from intelforge.models.ledger import Ledger, Usage
from intelforge.models.meter import ModelMeter
from intelforge.models.ollama import ollama_url
from intelforge.models.prices import GivenPrices
from intelforge.models.protocol import LanguageModel
from intelforge.models.targets import hosts_of
from intelforge.search_models import SearchModels
from intelforge.security.egress import Egress
from intelforge.security.secrets import Secrets, open_secrets
from intelforge.store.budgets import Budgets
from intelforge.store.calls import Calls
from intelforge.store.database import Database, open_database
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.items import Items
from intelforge.store.leases import Leases, process_name
from intelforge.store.searches import Searches
from intelforge.store.sources import Sources
from intelforge.versions import Versions

if TYPE_CHECKING:
    from intelforge.lending import Lending
    from intelforge.models.gateway import Gateway

STATE = ".intelforge"
"""the folder below the workspace that holds what IntelForge keeps"""
EMBEDDING_CACHE = "cache/embeddings.db"
"""below that folder"""


class Parts:
    """Opens by URL what the settings name. Everything is closed by `close`, in reverse order."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings
        self._stack = AsyncExitStack()
        self._opening: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._stores: dict[tuple[str, int], VectorStore] = {}
        self._models: dict[str, LanguageModel | None] = {}
        self._waiting = 0
        self.idle = asyncio.Event()
        """set while no one waits for an answer in this process"""
        self.idle.set()

    async def open(self) -> None:
        """Opens the database, unless it is open, and migrates it when it is behind. Raises StorageError."""
        if "database" not in vars(self):
            url = await asyncio.to_thread(self.secrets.expand, self.settings.database, setting="database")
            self.database: Database = await open_database(url, root=self.root)
            self._stack.push_async_callback(self.database.close)
            with suppress(StorageError):  # whoever works meets the same error
                await self.calls.settle_crashed()

    async def close(self) -> None:
        await self._stack.aclose()

    def reconfigure(self, settings: Settings) -> None:
        """Goes on with other settings of index and embedder; what is open stays so."""
        if settings.embedder != self.settings.embedder and "egress" in vars(self):
            self.egress.allow(*embedder_hosts(settings.embedder, ollama_url=_ollama_url))
        self.settings = settings

    @functools.cached_property
    def secrets(self) -> Secrets:
        """Keys and passwords, by name."""
        return open_secrets(self.settings.secrets, root=self.root)

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
        keep = timedelta(days=self.settings.keep_calls_days)
        calls = Calls(self.database, owner=self.leases.owner, keep=keep)
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
                    store: VectorStore = await asyncio.to_thread(self._load_store, url, version)
                    self._stores[key] = await self._stack.enter_async_context(store)
        return self._stores[key]

    def _load_store(self, url: str, version: int) -> VectorStore:
        place = self.secrets.expand(url, setting="index")
        factory = load_backend("vector_stores", url)
        store: VectorStore = factory(place, root=self.root, version=version, secrets=self.secrets)
        return store

    @functools.cached_property
    def versions(self) -> Versions:
        return Versions(
            self.database,
            lambda: self.settings,
            self.leases,
            open_store=self.store,
            open_embedder=self.search_models.embedder_at,
        )

    @functools.cached_property
    def embedding_cache(self) -> EmbeddingCache:
        """The cache that indexing and searching share."""
        cache = EmbeddingCache(self.root / STATE / EMBEDDING_CACHE)
        self._stack.push_async_callback(cache.close)
        return cache

    @functools.cached_property
    def search_models(self) -> SearchModels:
        """The embedder and the reranker."""
        return SearchModels(
            lambda: self.settings,
            context=self._model_context,
            cache=lambda: self.embedding_cache,
            language_model=self.language_model,
            allow=lambda url: self.egress.allow(*embedder_hosts(url, ollama_url=_ollama_url)),
        )

    def _model_context(self) -> ModelContext:
        return ModelContext(
            client=lambda: self._model_client,
            meter=self._metered,
            ollama_url=_ollama_url,
            root=self.root,
            environment=self.secrets,
            allow_hosts=self.settings.allow_hosts,
        )

    def _metered(self, call: RemoteCall) -> AbstractAsyncContextManager[Usage]:
        return ModelMeter(self.ledger, self._prices)(call)

    @functools.cached_property
    def _model_client(self) -> httpx2.AsyncClient:
        client = self.egress.client(timeout=self.settings.llm_timeout, apart=True)
        self._stack.push_async_callback(client.aclose)
        return client

    @functools.cached_property
    def gateway(self) -> "Gateway":
        """The one way to language models."""
        # Imported late: most commands ask no model.
        from intelforge.models.gateway import Gateway, Options

        return Gateway(
            client=self._model_client,
            ledger=self.ledger,
            options=Options.of(self.settings, root=self.root),
            lent=self.lending.lent,
            prices=self._prices,
            secrets=self.secrets,
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
            secrets=self.secrets,
            embedder=self._question_embedder,
            language_model=self.model,
        )
        self._stack.push_async_callback(lending.close)
        return lending

    async def _question_embedder(self) -> Embedder | None:
        return await asyncio.to_thread(self.search_models.embedder)

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

    async def check_models(self, *urls: str) -> list[ModelCheck]:
        """Whether the language models of these URLs can be reached, let us in and are there, and what they can do."""
        await self.lending.catalogue.load()
        found: list[ModelCheck] = []
        for url in urls:
            self.egress.allow(*hosts_of(url))
            found += await self.gateway.check(url)
        return found

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
        reranker = self.search_models.reranker(serving.embedder)
        return Retriever(
            self.documents, serving.standings, self.facts, serving.store, serving.embedder, reranker=reranker
        )


def _ollama_url() -> str:
    return ollama_url(os.environ)

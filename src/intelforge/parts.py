"""The parts of one workspace, each built when it is first needed and closed with the workspace."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from intelforge.collect.protocol import Collector
from intelforge.collect.registry import open_collector
from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.core.registry import load_backend
from intelforge.core.settings import Settings
from intelforge.core.values import Source
from intelforge.index.embedders.cache import EmbeddingCache
from intelforge.index.embedders.cached import CachedEmbedder
from intelforge.index.embedders.context import EmbedderContext, EmbeddingCall
from intelforge.index.embedders.url import hosts_of as embedder_hosts
from intelforge.index.hits import Retriever
from intelforge.index.protocol import Embedder, VectorStore
from intelforge.index.rerank import LateInteraction, TokenEncoder
from intelforge.models.embedding_meter import EmbeddingMeter
from intelforge.models.gateway import hosts_of, open_model
from intelforge.models.ledger import Ledger, Usage
from intelforge.models.ollama import ollama_url
from intelforge.models.protocol import LanguageModel
from intelforge.security.egress import Egress
from intelforge.store.calls import Calls
from intelforge.store.database import Database, open_database
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.items import Items
from intelforge.store.leases import Leases, process_name
from intelforge.store.sources import Sources

if TYPE_CHECKING:
    from intelforge.ingest.sync import SyncParts

STATE = ".intelforge"
"""the folder below the workspace that holds what IntelForge keeps"""
EMBEDDING_CACHE = "cache/embeddings.db"
"""below that folder"""
_WORDS_ALONE = (ErrorCode.MISSING_MODEL, ErrorCode.REFUSED)
"""why an embedder may be missing and search go on without: its weights are not here, or its key is not"""


class Parts:
    """Opens by URL what the settings name. Everything is closed by `close`, in reverse order."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._store: VectorStore | None = None
        self._embedder: Embedder | None = None
        self._model: LanguageModel | None = None
        self._model_opened = False
        self._waiting = 0
        self.idle = asyncio.Event()
        """set while no one waits for an answer in this process"""
        self.idle.set()
        self.embedder_error: IntelForgeError | None = None
        """why there is no embedder although the settings name one"""

    async def open(self) -> None:
        """Opens the database, unless it is open, and migrates it when it is behind. Raises StorageError."""
        if "database" not in vars(self):
            self.database: Database = await open_database(self.settings.database, root=self.root)
            self._stack.push_async_callback(self.database.close)

    async def close(self) -> None:
        await self._stack.aclose()

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
    def leases(self) -> Leases:
        return Leases(self.database, owner=process_name())

    @functools.cached_property
    def egress(self) -> Egress:
        """The way out. The hosts of the language model and the embedder may be private: the user named them."""
        named = (*hosts_of(self.settings.llm), *embedder_hosts(self.settings.embedder, ollama_url=_ollama_url))
        allowed = {*self.settings.allow_hosts, *named}
        egress = Egress(
            allow_hosts=allowed, timeout=self.settings.web_timeout, max_redirects=self.settings.web_max_redirects
        )
        self._stack.push_async_callback(egress.close)
        return egress

    async def store(self) -> VectorStore:
        """The vector store. Raises StorageError when it cannot be opened."""
        async with self._opening:
            if self._store is None:
                store: VectorStore = load_backend("vector_stores", self.settings.index)(
                    self.settings.index, root=self.root
                )
                self._store = await self._stack.enter_async_context(store)
            return self._store

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
        if self.settings.embedder in ("none:", "none"):
            return None
        try:
            embedder: Embedder = load_backend("embedders", self.settings.embedder)(
                self.settings.embedder, context=self._embedder_context()
            )
        except IntelForgeError as error:
            if error.error_code not in _WORDS_ALONE:
                raise
            self.embedder_error = error
            return None
        self.embedder_error = None
        return embedder

    def _embedder_context(self) -> EmbedderContext:
        return EmbedderContext(
            client=lambda: self._model_client,
            meter=self._metered,
            ollama_url=_ollama_url,
            root=self.root,
        )

    def _metered(self, call: EmbeddingCall) -> AbstractAsyncContextManager[Usage]:
        return EmbeddingMeter(Ledger(Calls(self.database)))(call)

    @functools.cached_property
    def _model_client(self) -> httpx2.AsyncClient:
        client = self.egress.client(timeout=self.settings.llm_timeout)
        self._stack.push_async_callback(client.aclose)
        return client

    async def model(self) -> LanguageModel | None:
        """The language model; None when there is none. Raises what opening it raises."""
        if not self._model_opened:
            self._model = await open_model(
                self.settings.llm,
                client=self._model_client,
                ledger=Ledger(Calls(self.database)),
                timeout=self.settings.llm_timeout,
            )
            self._model_opened = True
        return self._model

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
        embedder = self.embedder()
        encoder = embedder.embedder if isinstance(embedder, CachedEmbedder) else embedder
        reranker = LateInteraction(encoder) if isinstance(encoder, TokenEncoder) else None
        return Retriever(self.documents, self.facts, await self.store(), embedder, reranker=reranker)

    @asynccontextmanager
    async def syncing(self) -> AsyncIterator["SyncParts"]:
        """What a sync works with, open for the block. The job engine is imported here: nothing else needs it."""
        from intelforge.ingest.batch import Batch
        from intelforge.ingest.collectors import Collectors
        from intelforge.ingest.embed import Embedding
        from intelforge.ingest.index import Indexer
        from intelforge.ingest.sync import SyncParts
        from intelforge.jobs.leases import LeaseHolder
        from intelforge.refine.pool import Refinery

        settings, store, embedder = self.settings, await self.store(), self.embedder()
        refinery = Refinery(
            workers=settings.workers,
            seconds=settings.extract_seconds,
            memory_mb=settings.extract_memory_mb,
            tokenizer=embedder.tokenizer if embedder else None,
            chunk_tokens=settings.chunk_tokens,
        )
        collectors = Collectors(self.sources, self.collector)
        async with LeaseHolder(self.leases) as holder, refinery:
            indexer = Indexer(self.documents, store, holder)

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
                embedding=(
                    Embedding(self.documents, self.facts, store, embedder, holder, idle=self.idle) if embedder else None
                ),
                collectors=collectors,
                batch_items=settings.batch_items,
            )

    def _engine(self) -> Any:
        return load_backend("job_engines", self.settings.jobs)(self.settings.jobs, database_url=self.database.jobs_url)


def _ollama_url() -> str:
    return ollama_url(os.environ)

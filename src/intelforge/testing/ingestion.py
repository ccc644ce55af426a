"""Ingestion without files, processes and models, for tests of what it does with what it reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from intelforge.core.errors import IntelForgeError, ItemError
from intelforge.core.reports import Progress, SyncReport
from intelforge.core.values import Document, Item, Source, SourceKind
from intelforge.index.memory import MemoryStore
from intelforge.index.protocol import VectorStore
from intelforge.ingest.batch import Batch
from intelforge.ingest.chunk_vectors import ChunkVectors
from intelforge.ingest.collectors import Collectors
from intelforge.ingest.embed import Embedding
from intelforge.ingest.index import Indexer
from intelforge.ingest.sync import Sync, SyncParts
from intelforge.jobs.leases import LeaseHolder
from intelforge.jobs.memory import MemoryEngine
from intelforge.store.database import Database
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.items import Items
from intelforge.store.leases import Leases, process_name
from intelforge.store.sources import Sources
from intelforge.store.standings import Standings
from intelforge.testing.collector import MemoryCollector
from intelforge.testing.documents import make_document
from intelforge.testing.embedder import HashEmbedder

SOURCE = Source(id="s1", kind=SourceKind.FOLDER, uri="/data")


@dataclass(kw_only=True)
class Ingestion:
    """The parts of a workspace with a real database, and with source, refinery, jobs and index in memory."""

    database: Database
    collector: MemoryCollector = field(default_factory=MemoryCollector)
    embedder: HashEmbedder | None = None
    store: MemoryStore = field(default_factory=MemoryStore)
    batch_items: int = 4
    refined: list[str] = field(default_factory=list)
    reports: list[Progress] = field(default_factory=list)
    stopping: bool = False
    stop_after: int | None = None
    """number of refined items after which the sync is asked to stop"""

    def __post_init__(self) -> None:
        self.sources, self.items = Sources(self.database), Items(self.database)
        self.documents, self.facts = Documents(self.database), Facts(self.database)
        self.leases = Leases(self.database, owner=process_name())
        self.standings = Standings(self.database, 1)

    async def sync(self, *, embed: bool = True, retry_failed: bool = False) -> SyncReport:
        await self.sources.add(SOURCE)
        async with self.holder() as holder:
            sync = Sync(self.parts(holder), report=self.reports.append, stopped=lambda: self.stopping)
            return await sync.run(await self.sources.all(), embed=embed, retry_failed=retry_failed)

    def holder(self) -> LeaseHolder:
        return LeaseHolder(self.leases)

    def parts(self, holder: LeaseHolder) -> SyncParts:
        collectors = Collectors(self.sources, lambda source: self.collector)
        indexer = self.indexer(holder)
        return SyncParts(
            sources=self.sources,
            items=self.items,
            leases=self.leases,
            holder=holder,
            indexer=indexer,
            engine=MemoryEngine(),
            batch=lambda advanced: Batch(
                items=self.items,
                indexer=indexer,
                collector_of=collectors.of,
                refine=self.refine,
                advanced=advanced,
            ),
            embedding=self.embedding(holder),
            build=None,
            collectors=collectors,
            batch_items=self.batch_items,
        )

    def indexer(self, holder: LeaseHolder) -> Indexer:
        return Indexer(self.documents, self.standings, self.store, holder)

    def embedding(self, holder: LeaseHolder, *, donor: VectorStore | None = None) -> Embedding | None:
        if self.embedder is None:
            return None
        vectors = ChunkVectors(self.embedder, donor=donor)
        return Embedding(self.documents, self.standings, self.store, vectors, holder, facts=self.facts)

    async def refine(self, items: Sequence[Item]) -> list[Document | IntelForgeError]:
        return [self._refine_one(item) for item in items]

    def _refine_one(self, item: Item) -> Document | IntelForgeError:
        self.refined.append(item.uri)
        if self.stop_after is not None and len(self.refined) >= self.stop_after:
            self.stopping = True
        if item.data.startswith(b"BAD"):
            return ItemError(f"{item.uri} is damaged")
        return make_document(item.data.decode())

    async def found(self, word: str) -> set[str]:
        """The items whose current documents the index finds for a word."""
        hits = await self.store.search(word, limit=1000)
        places = await self.documents.places({hit.document_id for hit in hits})
        return {place.uri for every in places.values() for place in every}

    async def ready(self) -> dict[str, str]:
        """The text of every ready item by URI."""
        known = await self.items.known(SOURCE.id)
        ids = {uri: item.document_id for uri, item in known.items() if item.state == "ready" and item.document_id}
        texts = await self.documents.texts(set(ids.values()))
        return {uri: texts[document_id][1] for uri, document_id in ids.items()}

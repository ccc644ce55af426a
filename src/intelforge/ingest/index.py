"""Keeps a version of the index in step with the database: what is current is in it, what is not is out.

The order of writes makes every interruption harmless: the index is written first, the database's note of it second, so
that after a crash the same work is found again, and it is idempotent.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from intelforge.core.values import Document
from intelforge.index.protocol import VectorStore
from intelforge.jobs.leases import LeaseHolder
from intelforge.store.documents import Documents
from intelforge.store.standings import Standings

LEASE = "index"
BATCH = 128
"""documents read at once"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What `Indexer.repair` found the index to hold too little or too much of, in documents."""

    missing: int = 0
    superfluous: int = 0
    vectors: int = 0

    @property
    def total(self) -> int:
        return self.missing + self.superfluous + self.vectors


class Indexer:
    """The one writer of a version of the index, one process at a time."""

    def __init__(self, documents: Documents, standings: Standings, store: VectorStore, leases: LeaseHolder) -> None:
        self._documents = documents
        self._standings = standings
        self._store = store
        self._leases = leases

    @property
    def version(self) -> int:
        """The number of the version it writes."""
        return self._standings.version

    async def index(self, document_ids: Sequence[str], *, fresh: Mapping[str, Document] | None = None) -> None:
        """Makes these documents findable, those that are current and not yet in the index.

        `fresh` holds some of them, so that they need not be read from the database.
        """
        fresh = fresh or {}
        async with self._leases.hold(LEASE, detail="indexing"):
            for start in range(0, len(document_ids), BATCH):
                waiting = await self._standings.waiting(document_ids[start : start + BATCH])
                stale = await self._documents.load([one for one in waiting if one not in fresh])
                await self._add([*(fresh[one] for one in waiting if one in fresh), *stale])

    async def follow(self) -> int:
        """Indexes whatever is current and missing, drops whatever is not current; returns how many documents."""
        moved = 0
        async with self._leases.hold(LEASE, detail="indexing"):
            while missing := await self._standings.unindexed(limit=BATCH):
                await self._add(await self._documents.load(missing))
                moved += len(missing)
            while abandoned := await self._standings.abandoned(limit=BATCH):
                await self._store.delete(abandoned)
                await self._standings.forget(abandoned)
                moved += len(abandoned)
            while stale := await self._standings.undescribed(limit=BATCH):
                revisions = await self._documents.revisions(stale)
                await self._store.describe(await self._documents.attributes(stale))
                await self._standings.set_indexed(revisions)
        await self._documents.purge()
        return moved

    async def repair(self, *, dry_run: bool = False) -> Repairs:
        """Holds the index against the database and mends what differs; `follow` then fills what is missing."""
        async with self._leases.hold(LEASE, detail="verifying the index"):
            held = await self._store.inventory()
            wanted = await self._standings.all()
            superfluous = [document_id for document_id in held if document_id not in wanted]
            missing = [
                document_id
                for document_id, standing in wanted.items()
                if standing.chunks != (held[document_id].chunks if document_id in held else 0)
            ]
            bare = {
                document_id: 0
                for document_id, standing in wanted.items()
                if document_id in held and held[document_id].vectors < standing.vectors
            }
            if (superfluous or missing) and not dry_run:
                await self._store.delete([*superfluous, *missing])
            if not dry_run:
                await self._standings.forget(missing)
                await self._standings.set_embedded(bare)
        return Repairs(missing=len(missing), superfluous=len(superfluous), vectors=len(bare))

    async def differing(self) -> bool:
        """Whether the index holds too little or too much."""
        return (await self.repair(dry_run=True)).total > 0

    async def remove(self, document_ids: Collection[str]) -> None:
        """Takes documents out, whatever they are; `follow` brings in those that are current."""
        async with self._leases.hold(LEASE, detail="indexing"):
            await self._store.delete(document_ids)
            await self._standings.forget(document_ids)

    async def maintain(self) -> None:
        """Folds recent writes into the search structures."""
        async with self._leases.hold(LEASE, detail="folding the index"):
            await self._store.maintain()

    async def _add(self, documents: Sequence[Document]) -> None:
        if not documents:
            return
        document_ids = [document.id for document in documents]
        revisions = await self._documents.revisions(document_ids)
        about = await self._documents.attributes(document_ids)
        if chunks := [chunk for document in documents for chunk in document.chunks]:
            await self._store.add(chunks, about)
        await self._standings.set_indexed(revisions)

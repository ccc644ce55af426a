"""The repository of standings: how far one version of the index has followed the documents.

A document that the version holds has a row here; the index is written first, the row second.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, not_, select, true, update

from intelforge.store.database import Database
from intelforge.store.documents import CURRENT, LOCAL_ONLY
from intelforge.store.items import slices
from intelforge.store.tables import DocumentRow, SourceRow, StandingRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Distinct current documents and their chunks, and how many of these are indexed and embedded."""

    documents: int
    chunks: int
    indexed: int
    embedded: int
    withheld: int = 0
    """chunks without a vector that only an embedder on this machine may be given"""

    def left(self, *, local: bool) -> int:
        """Chunks that an embedder, `local` when it is on this machine, has still to embed."""
        return self.chunks - self.embedded - (0 if local else self.withheld)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the index should hold of a document, as the database has it."""

    chunks: int
    vectors: int


RECENT_SECONDS: Final = 2.0
"""so old counts are given without counting again"""
KEPT_SECONDS: Final = 60.0
"""so old counts are given while they are counted again; nobody waits for that"""


class Standings:
    """What one version of the index holds, by the database's own record."""

    def __init__(self, database: Database, version: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._counted: tuple[float, Counts] | None = None
        self._counting = asyncio.Lock()
        self._changes = 0
        self._recounting: asyncio.Task[Counts] | None = None
        self.version = version

    async def counts(self) -> Counts:
        """What is current, indexed and embedded."""
        async with self._database.read() as connection:
            row = (await connection.execute(self._totals)).one()
            limited = (await connection.execute(select(exists().where(SourceRow.local_models_only)))).scalar_one()
            withheld = (await connection.execute(self._withheld)).scalar_one() if limited else 0
        return Counts(
            documents=row[0], chunks=row[1] or 0, indexed=row[2] or 0, embedded=row[3] or 0, withheld=withheld or 0
        )

    async def recent_counts(self) -> Counts:
        """The same, of a while ago: to sum over all documents is too much for every search."""
        known = self._counted
        if known is None or self._now() - known[0] > KEPT_SECONDS:
            return await self._recount()
        idle = self._recounting is None or self._recounting.done()
        if idle and self._now() - known[0] > RECENT_SECONDS:
            self._recounting = asyncio.create_task(self._recount())
            self._recounting.add_done_callback(_ignored)
        return known[1]

    async def _recount(self) -> Counts:
        """Counts again unless another task just did."""
        async with self._counting:
            known, changes, at = self._counted, self._changes, self._now()
            if known and at - known[0] <= RECENT_SECONDS:
                return known[1]
            counts = await self.counts()
            if self._changes == changes:
                self._counted = (at, counts)
            return counts

    async def all(self) -> dict[str, Standing]:
        """What the version should hold, by document id."""
        async with self._database.read() as connection:
            rows = await connection.execute(self._standing)
            return {row[0]: Standing(chunks=row[1], vectors=row[2]) for row in rows}

    async def of(self, document_ids: Sequence[str]) -> dict[str, Standing]:
        """What it should hold of these documents, by id."""
        found: dict[str, Standing] = {}
        async with self._database.read() as connection:
            for part in slices(document_ids):
                rows = await connection.execute(self._standing.where(StandingRow.document_id.in_(part)))
                found |= {row[0]: Standing(chunks=row[1], vectors=row[2]) for row in rows}
        return found

    async def unindexed(self, *, limit: int) -> list[str]:
        """Ids of current documents the version does not hold yet."""
        return await self._ids(select(DocumentRow.id).where(not_(self._held), CURRENT).limit(limit))

    async def waiting(self, document_ids: Sequence[str]) -> list[str]:
        """Ids of those of these documents that are current and not yet held."""
        return await self._ids(
            select(DocumentRow.id).where(DocumentRow.id.in_(document_ids), not_(self._held), CURRENT)
        )

    async def abandoned(self, *, limit: int) -> list[str]:
        """Ids of documents the version still holds although no item has them any more."""
        statement = select(DocumentRow.id).join(StandingRow, self._of_document)
        return await self._ids(statement.where(not_(CURRENT)).limit(limit))

    async def undescribed(self, *, limit: int) -> list[str]:
        """Ids of documents the version holds with attributes that may be out of date."""
        statement = select(DocumentRow.id).join(StandingRow, self._of_document)
        return await self._ids(statement.where(StandingRow.described != DocumentRow.revision).limit(limit))

    async def unembedded(self, *, limit: int, local: bool) -> list[tuple[str, int]]:
        """Current documents it holds with chunks to embed: (id, number of chunks embedded already).

        For an embedder that is not `local`, on this machine, without those that it may not be given.
        """
        allowed = true() if local else not_(LOCAL_ONLY)
        statement = (
            select(DocumentRow.id, StandingRow.embedded_chunks)
            .join(StandingRow, self._of_document)
            .where(StandingRow.embedded_chunks < DocumentRow.chunk_count, CURRENT, allowed)
            .order_by(DocumentRow.created_at, DocumentRow.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [(row[0], row[1]) for row in await connection.execute(statement)]

    async def embedded_up_to(self, expected: Mapping[str, int]) -> set[str]:
        """Those of these documents that are held with so many chunks embedded."""
        columns = (StandingRow.document_id, StandingRow.embedded_chunks)
        statement = select(*columns).where(self._own, StandingRow.document_id.in_(list(expected)))
        async with self._database.read() as connection:
            return {row[0] for row in await connection.execute(statement) if row[1] == expected[row[0]]}

    async def set_indexed(self, revisions: Mapping[str, int]) -> None:
        """Records that the version holds these documents with the attributes of these revisions.

        Vectors that are counted stay counted. Documents that were deleted meanwhile are left out.
        """
        statement = self._database.insert(StandingRow)
        updated = {"described": statement.excluded.described}
        async with self._database.write() as connection:
            for part in slices(list(revisions)):
                there = await connection.execute(select(DocumentRow.id).where(DocumentRow.id.in_(part)))
                rows: list[dict[str, Any]] = [
                    {
                        "version": self.version,
                        "document_id": document_id,
                        "described": revisions[document_id],
                        "embedded_chunks": 0,
                    }
                    for document_id in there.scalars()
                ]
                if rows:
                    keys = ["version", "document_id"]
                    await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=updated), rows)
        self._changed()

    async def forget(self, document_ids: Collection[str]) -> None:
        """Records that the version holds these documents no more, nor their vectors."""
        async with self._database.write() as connection:
            for part in slices(list(document_ids)):
                await connection.execute(delete(StandingRow).where(self._own, StandingRow.document_id.in_(part)))
        self._changed()

    async def set_embedded(self, progress: Mapping[str, int]) -> None:
        """Records how many chunks of each document, from the first on, have a vector."""
        async with self._database.write() as connection:
            for document_id, number in progress.items():
                which = and_(self._own, StandingRow.document_id == document_id)
                await connection.execute(update(StandingRow).where(which).values(embedded_chunks=number))
        self._changed()

    def _changed(self) -> None:
        self._counted, self._changes = None, self._changes + 1

    @property
    def _totals(self) -> Select[int, int, int, int]:
        held = StandingRow.document_id.is_not(None)
        columns = (
            func.count(),
            func.sum(DocumentRow.chunk_count),
            func.sum(DocumentRow.chunk_count).filter(held),
            func.sum(StandingRow.embedded_chunks),
        )
        return select(*columns).select_from(DocumentRow).outerjoin(StandingRow, self._of_document).where(CURRENT)

    @property
    def _withheld(self) -> Select[int]:
        missing = DocumentRow.chunk_count - func.coalesce(StandingRow.embedded_chunks, 0)
        return (
            select(func.sum(missing))
            .select_from(DocumentRow)
            .outerjoin(StandingRow, self._of_document)
            .where(LOCAL_ONLY)
        )

    @property
    def _standing(self) -> Select[str, int, int]:
        counted = (DocumentRow.chunk_count, StandingRow.embedded_chunks)
        return select(StandingRow.document_id, *counted).join(DocumentRow, self._of_document)

    @property
    def _own(self) -> ColumnElement[bool]:
        return StandingRow.version == self.version

    @property
    def _of_document(self) -> ColumnElement[bool]:
        return and_(StandingRow.document_id == DocumentRow.id, self._own)

    @property
    def _held(self) -> ColumnElement[bool]:
        return exists().where(self._of_document)

    async def _ids(self, statement: Any) -> list[str]:
        async with self._database.read() as connection:
            return list((await connection.execute(statement)).scalars())


def _ignored(recounting: asyncio.Task[Counts]) -> None:
    """The next search counts again, and says what fails."""
    if not recounting.cancelled():
        recounting.exception()

"""The repository of documents: their texts and chunks, and how far the index has followed them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from intelforge.core.values import Attributes, Chunk, Document, ItemState
from intelforge.store.database import Database
from intelforge.store.items import slices
from intelforge.store.tables import ChunkRow, DocumentRow, ItemRow, SourceRow, VersionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An item that is a document now."""

    document_id: str
    source_id: str
    source_kind: str
    source_uri: str
    uri: str
    access: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Distinct current documents and their chunks, and how many of these are indexed and embedded."""

    documents: int
    chunks: int
    indexed: int
    embedded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the index should hold of a document, as the database has it."""

    chunks: int
    vectors: int


CURRENT = exists().where(ItemRow.document_id == DocumentRow.id, ItemRow.state == ItemState.READY)


class Documents:
    """The documents of all items, current and superseded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, document_id: str) -> Document | None:
        """A document with its chunks, by its whole id."""
        found = await self.load([document_id])
        return found[0] if found else None

    async def matching(self, prefix: str, *, limit: int = 2) -> list[str]:
        """Ids that begin with a prefix."""
        statement = select(DocumentRow.id).where(DocumentRow.id.startswith(prefix, autoescape=True)).limit(limit)
        async with self._database.read() as connection:
            return list((await connection.execute(statement)).scalars())

    async def text(self, document_id: str) -> str | None:
        async with self._database.read() as connection:
            statement = select(DocumentRow.text).where(DocumentRow.id == document_id)
            return (await connection.execute(statement)).scalar_one_or_none()

    async def texts(self, document_ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """Title and text by document id."""
        statement = select(DocumentRow.id, DocumentRow.title, DocumentRow.text)
        async with self._database.read() as connection:
            rows = await connection.execute(statement.where(DocumentRow.id.in_(list(document_ids))))
            return {row.id: (row.title, row.text) for row in rows}

    async def chunks(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Any]:
        """Chunk rows by (document id, ordinal)."""
        wanted = set(keys)
        by_document: dict[str, list[int]] = {}
        for document_id, ordinal in wanted:
            by_document.setdefault(document_id, []).append(ordinal)
        clauses = [
            and_(ChunkRow.document_id == document_id, ChunkRow.ordinal.in_(ordinals))
            for document_id, ordinals in by_document.items()
        ]
        if not clauses:
            return {}
        async with self._database.read() as connection:
            rows = await connection.execute(select(ChunkRow).where(or_(*clauses)))
            return {(row.document_id, row.ordinal): row for row in rows}

    async def places(self, document_ids: Collection[str], *, sources: Collection[str] = ()) -> dict[str, list[Place]]:
        """The items (of these sources, or of any) that are these documents now, by document id, in a stable order."""
        statement = (
            select(
                ItemRow.document_id,
                ItemRow.uri,
                SourceRow.id,
                SourceRow.kind,
                SourceRow.uri.label("root"),
                SourceRow.access,
            )
            .join(SourceRow, SourceRow.id == ItemRow.source_id)
            .where(ItemRow.document_id.in_(list(document_ids)), ItemRow.state == ItemState.READY)
            .order_by(SourceRow.created_at, ItemRow.uri)
        )
        if sources:
            statement = statement.where(SourceRow.id.in_(list(sources)))
        found: dict[str, list[Place]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(statement):
                place = Place(
                    document_id=row.document_id,
                    source_id=row.id,
                    source_kind=row.kind,
                    source_uri=row.root,
                    uri=row.uri,
                    access=tuple(row.access),
                )
                found.setdefault(row.document_id, []).append(place)
        return found

    async def attributes(self, document_ids: Collection[str]) -> dict[str, Attributes]:
        """What these documents can be filtered by, of all the items that are them now."""
        about = select(DocumentRow.id, DocumentRow.language, DocumentRow.media_type, DocumentRow.details)
        items = (
            select(
                ItemRow.document_id,
                ItemRow.mtime_ns,
                ItemRow.updated_at,
                SourceRow.id,
                SourceRow.kind,
                SourceRow.access,
            )
            .join(SourceRow, SourceRow.id == ItemRow.source_id)
            .where(ItemRow.state == ItemState.READY)
        )
        found: dict[str, Attributes] = {}
        async with self._database.read() as connection:
            for part in slices(list(document_ids)):
                of: dict[str, list[Any]] = {}
                for item in await connection.execute(items.where(ItemRow.document_id.in_(part))):
                    of.setdefault(item.document_id, []).append(item)
                for row in await connection.execute(about.where(DocumentRow.id.in_(part))):
                    found[row.id] = _attributes(row, of.get(row.id, []))
        return found

    async def paths(self) -> list[tuple[str, str]]:
        """Every place of every current document: its id, and the URIs of source and item, joined."""
        place = SourceRow.uri + "/" + ItemRow.uri
        statement = (
            select(ItemRow.document_id, place)
            .join(SourceRow, SourceRow.id == ItemRow.source_id)
            .where(ItemRow.state == ItemState.READY, ItemRow.document_id.is_not(None))
        )
        async with self._database.read() as connection:
            return [(str(row[0]), row[1]) for row in await connection.execute(statement)]

    async def revisions(self, document_ids: Collection[str]) -> dict[str, int]:
        """Of the attributes of these documents; read them first, then `attributes`, so that none is newer."""
        found: dict[str, int] = {}
        async with self._database.read() as connection:
            for part in slices(list(document_ids)):
                statement = select(DocumentRow.id, DocumentRow.revision).where(DocumentRow.id.in_(part))
                found |= {row[0]: row[1] for row in await connection.execute(statement)}
        return found

    async def undescribed(self, *, limit: int) -> list[str]:
        """Ids of documents the index holds with attributes that may be out of date."""
        stale = DocumentRow.described != DocumentRow.revision
        return await self._ids(select(DocumentRow.id).where(DocumentRow.indexed, stale).limit(limit))

    async def set_described(self, revisions: Mapping[str, int]) -> None:
        """Records that the index holds these documents with the attributes of these revisions."""
        async with self._database.write() as connection:
            for revision in set(revisions.values()):
                alike = [document_id for document_id, own in revisions.items() if own == revision]
                for part in slices(alike):
                    values = {"indexed": True, "described": revision}
                    await connection.execute(update(DocumentRow).where(DocumentRow.id.in_(part)).values(**values))

    async def access(self, document_id: str) -> set[str]:
        """The principals who may see a document: those of every source that has it or had it."""
        statement = (
            select(SourceRow.access)
            .join(ItemRow, ItemRow.source_id == SourceRow.id)
            .join(VersionRow, VersionRow.item_id == ItemRow.id)
            .where(VersionRow.document_id == document_id)
        )
        async with self._database.read() as connection:
            return {principal for access in (await connection.execute(statement)).scalars() for principal in access}

    async def place_of(self, uri: str) -> str | None:
        """The document an item is now, by the item's URI or by its source's URI and its own."""
        full = SourceRow.uri + "/" + ItemRow.uri
        statement = (
            select(ItemRow.document_id)
            .join(SourceRow, SourceRow.id == ItemRow.source_id)
            .where(ItemRow.state == ItemState.READY, or_(ItemRow.uri == uri, full == uri, SourceRow.uri == uri))
            .order_by(case((full == uri, 0), else_=1), ItemRow.uri)
            .limit(1)
        )
        async with self._database.read() as connection:
            return (await connection.execute(statement)).scalar_one_or_none()

    async def versions(self, document_id: str) -> list[str]:
        """The versions of the first item that ever was this document, oldest first."""
        item = select(VersionRow.item_id).where(VersionRow.document_id == document_id).order_by(VersionRow.item_id)
        statement = select(VersionRow.document_id).where(VersionRow.item_id == item.limit(1).scalar_subquery())
        async with self._database.read() as connection:
            return list((await connection.execute(statement.order_by(VersionRow.number))).scalars())

    async def counts(self, embedder: str) -> Counts:
        """What is current, indexed, and embedded by `embedder`."""
        embedded = case((DocumentRow.embedder == embedder, DocumentRow.embedded_chunks), else_=0)
        indexed = case((DocumentRow.indexed, DocumentRow.chunk_count), else_=0)
        statement = select(
            func.count(), func.sum(DocumentRow.chunk_count), func.sum(indexed), func.sum(embedded)
        ).where(CURRENT)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one()
        return Counts(documents=row[0], chunks=row[1] or 0, indexed=row[2] or 0, embedded=row[3] or 0)

    async def unindexed(self, *, limit: int) -> list[Document]:
        """Current documents the index does not hold yet."""
        statement = select(DocumentRow.id).where(not_(DocumentRow.indexed), CURRENT).limit(limit)
        return await self.load(await self._ids(statement))

    async def waiting(self, document_ids: Sequence[str]) -> list[str]:
        """Ids of those of these documents that are current and not yet in the index."""
        statement = select(DocumentRow.id).where(DocumentRow.id.in_(document_ids), not_(DocumentRow.indexed), CURRENT)
        return await self._ids(statement)

    async def embedded_up_to(self, expected: Mapping[str, int], embedder: str) -> set[str]:
        """Those of these documents that are in the index with so many chunks embedded, by document id."""
        done = case((DocumentRow.embedder == embedder, DocumentRow.embedded_chunks), else_=0)
        statement = select(DocumentRow.id, done).where(DocumentRow.id.in_(list(expected)), DocumentRow.indexed)
        async with self._database.read() as connection:
            return {row[0] for row in await connection.execute(statement) if row[1] == expected[row[0]]}

    async def abandoned(self, *, limit: int) -> list[str]:
        """Ids of documents the index still holds although no item has them any more."""
        return await self._ids(select(DocumentRow.id).where(DocumentRow.indexed, not_(CURRENT)).limit(limit))

    async def unembedded(self, embedder: str, *, limit: int) -> list[tuple[str, int]]:
        """Current indexed documents with chunks to embed: (id, number of chunks embedded already)."""
        done = case((DocumentRow.embedder == embedder, DocumentRow.embedded_chunks), else_=0)
        statement = (
            select(DocumentRow.id, done)
            .where(DocumentRow.indexed, done < DocumentRow.chunk_count, CURRENT)
            .order_by(DocumentRow.created_at, DocumentRow.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [(row[0], row[1]) for row in await connection.execute(statement)]

    async def set_indexed(self, document_ids: Collection[str], *, indexed: bool) -> None:
        """Records what the index holds now. A document that left the index has no vectors either."""
        values: dict[str, Any] = {"indexed": indexed}
        if not indexed:
            values |= {"embedder": "", "embedded_chunks": 0}
        async with self._database.write() as connection:
            for part in slices(list(document_ids)):
                await connection.execute(update(DocumentRow).where(DocumentRow.id.in_(part)).values(**values))

    async def set_embedded(self, progress: Mapping[str, int], *, embedder: str) -> None:
        """Records how many chunks of each document, from the first on, have a vector."""
        async with self._database.write() as connection:
            for document_id, number in progress.items():
                values = {"embedder": embedder, "embedded_chunks": number}
                await connection.execute(update(DocumentRow).where(DocumentRow.id == document_id).values(**values))

    async def standings(self) -> dict[str, Standing]:
        """What the index should hold, by document id, by the database's own record."""
        statement = select(DocumentRow.id, DocumentRow.chunk_count, DocumentRow.embedded_chunks)
        async with self._database.read() as connection:
            rows = await connection.execute(statement.where(DocumentRow.indexed))
            return {row[0]: Standing(chunks=row[1], vectors=row[2]) for row in rows}

    async def purge(self) -> int:
        """Deletes documents that no item has or ever had and the index no longer holds; returns how many."""
        remembered = exists().where(VersionRow.document_id == DocumentRow.id)
        referenced = exists().where(ItemRow.document_id == DocumentRow.id)
        statement = delete(DocumentRow).where(not_(DocumentRow.indexed), not_(remembered), not_(referenced))
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

    async def _ids(self, statement: Any) -> list[str]:
        async with self._database.read() as connection:
            return list((await connection.execute(statement)).scalars())

    async def load(self, document_ids: Sequence[str]) -> list[Document]:
        """Documents with their chunks, in the order of the ids; unknown ids are left out."""
        found: dict[str, Document] = {}
        async with self._database.read() as connection:
            for part in slices(document_ids):
                for document in await _read_documents(
                    connection, DocumentRow.id.in_(part), ChunkRow.document_id.in_(part)
                ):
                    found[document.id] = document
        return [found[document_id] for document_id in document_ids if document_id in found]


def _attributes(document: Any, items: Sequence[Any]) -> Attributes:
    tags = document.details.get("tags") or document.details.get("keywords") or ""
    labels = {
        *(f"principal:{principal}" for item in items for principal in item.access),
        *(f"source:{item.id}" for item in items),
        *(f"kind:{item.kind}" for item in items),
        f"type:{document.media_type}",
        f"language:{document.language}",
        *(f"tag:{tag.strip().casefold()}" for tag in tags.split(",") if tag.strip()),
    }
    modified = max((item.mtime_ns / 1e9 if item.mtime_ns else item.updated_at.timestamp() for item in items), default=0)
    return Attributes(labels=frozenset(labels), modified=modified)


async def _read_documents(
    connection: AsyncConnection, documents: ColumnElement[bool], chunks: ColumnElement[bool]
) -> list[Document]:
    rows = (await connection.execute(select(DocumentRow).where(documents))).all()
    by_document: dict[str, list[Any]] = {row.id: [] for row in rows}
    ordered = select(ChunkRow).where(chunks).order_by(ChunkRow.document_id, ChunkRow.ordinal)
    for chunk in await connection.execute(ordered):
        by_document[chunk.document_id].append(chunk)
    return [
        Document(
            id=row.id,
            text=row.text,
            media_type=row.media_type,
            title=row.title,
            language=row.language,
            metadata=row.details,
            chunks=tuple(chunk_value(chunk, row.text) for chunk in by_document[row.id]),
        )
        for row in rows
    ]


def chunk_value(row: Any, text: str) -> Chunk:
    """A chunk row as a value, cut out of its document's text."""
    start, end = row.start_char, row.end_char
    return Chunk(
        id=f"{row.document_id}:{row.ordinal}",
        document_id=row.document_id,
        ordinal=row.ordinal,
        start=start,
        end=end,
        text=text[start:end],
        heading=row.heading,
        kind=row.kind,
        tokens=row.tokens,
    )

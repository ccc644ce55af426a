"""The repository of documents: their texts and chunks, what they are, and where they are found."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, delete, exists, false, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from intelforge.core.index_reports import IndexState
from intelforge.core.values import Attributes, Chunk, Document, ItemState
from intelforge.store.database import Database
from intelforge.store.items import slices
from intelforge.store.tables import (
    ChunkRow,
    DocumentRow,
    IndexVersionRow,
    ItemRow,
    SourceRow,
    StandingRow,
    VersionRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An item that is a document now."""

    document_id: str
    source_id: str
    source_kind: str
    source_uri: str
    uri: str
    access: tuple[str, ...]


CURRENT = exists().where(ItemRow.document_id == DocumentRow.id, ItemRow.state == ItemState.READY)
LOCAL_ONLY = exists().where(
    ItemRow.document_id == DocumentRow.id,
    ItemRow.state == ItemState.READY,
    ItemRow.source_id.in_(select(SourceRow.id).where(SourceRow.local_models_only)),
)
"""One of the sources that have it now may only go to models on this machine."""


CHUNKS_AT_ONCE: Final = 200
"""in one statement: SQLite's expressions may be 1,000 deep"""


def chunks_at(keys: Sequence[tuple[str, int]]) -> Select[Any]:
    """Chunk rows by (document id, ordinal). For a list of pairs SQLite would read the whole table."""
    one = [and_(ChunkRow.document_id == document_id, ChunkRow.ordinal == ordinal) for document_id, ordinal in keys]
    return select(ChunkRow).where(or_(false(), *one))


class Documents:
    """The documents of all items, current and superseded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, document_id: str) -> Document | None:
        """A document with its chunks, by its whole id."""
        found = await self.load([document_id])
        return found[0] if found else None

    async def matching(self, prefix: str, *, sources: Collection[str], limit: int = 2) -> list[str]:
        """Ids that begin with a prefix, of documents that any of these sources has or had."""
        of_source = (
            exists()
            .where(VersionRow.document_id == DocumentRow.id, VersionRow.item_id == ItemRow.id)
            .where(ItemRow.source_id.in_(list(sources)))
        )
        statement = select(DocumentRow.id).where(DocumentRow.id.startswith(prefix, autoescape=True), of_source)
        async with self._database.read() as connection:
            return list((await connection.execute(statement.limit(limit))).scalars())

    async def text(self, document_id: str) -> str | None:
        async with self._database.read() as connection:
            statement = select(DocumentRow.text).where(DocumentRow.id == document_id)
            return (await connection.execute(statement)).scalar_one_or_none()

    async def texts(self, document_ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """Title and text by document id."""
        statement = select(DocumentRow.id, DocumentRow.title, DocumentRow.text)
        found: dict[str, tuple[str, str]] = {}
        async with self._database.read() as connection:
            for part in slices(list(document_ids)):
                rows = await connection.execute(statement.where(DocumentRow.id.in_(part)))
                found |= {row.id: (row.title, row.text) for row in rows}
        return found

    async def chunks(self, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Any]:
        """Chunk rows by (document id, ordinal)."""
        found: dict[tuple[str, int], Any] = {}
        async with self._database.read() as connection:
            for part in slices(list(dict.fromkeys(keys)), CHUNKS_AT_ONCE):
                rows = await connection.execute(chunks_at(part))
                found |= {(row.document_id, row.ordinal): row for row in rows}
        return found

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
            .where(ItemRow.state == ItemState.READY)
            .order_by(SourceRow.created_at, ItemRow.uri)
        )
        if sources:
            statement = statement.where(SourceRow.id.in_(list(sources)))
        found: dict[str, list[Place]] = {}
        async with self._database.read() as connection:
            for part in slices(list(document_ids)):
                for row in await connection.execute(statement.where(ItemRow.document_id.in_(part))):
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

    async def local_only(self, document_ids: Collection[str]) -> set[str]:
        """Those of these documents that may only go to models on this machine.

        One source that says so is enough. What no source has any more is among them: nobody can say otherwise now.
        """
        found = set(document_ids)
        async with self._database.read() as connection:
            for part in slices(list(document_ids)):
                free = select(DocumentRow.id).where(DocumentRow.id.in_(part), CURRENT, not_(LOCAL_ONLY))
                found -= set((await connection.execute(free)).scalars())
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

    async def paths(self, sources: Collection[str]) -> list[tuple[str, str]]:
        """Every place of every current document of these sources: its id, and the URIs of source and item, joined."""
        place = SourceRow.uri + "/" + ItemRow.uri
        statement = (
            select(ItemRow.document_id, place)
            .join(SourceRow, SourceRow.id == ItemRow.source_id)
            .where(ItemRow.state == ItemState.READY, ItemRow.document_id.is_not(None))
            .where(SourceRow.id.in_(list(sources)))
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

    async def place_of(self, uri: str, *, sources: Collection[str]) -> str | None:
        """The document an item of these sources is now, by the item's URI or by its source's URI and its own."""
        full = SourceRow.uri + "/" + ItemRow.uri
        statement = (
            select(ItemRow.document_id)
            .join(SourceRow, SourceRow.id == ItemRow.source_id)
            .where(ItemRow.state == ItemState.READY, or_(ItemRow.uri == uri, full == uri, SourceRow.uri == uri))
            .where(SourceRow.id.in_(list(sources)))
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

    async def purge(self) -> int:
        """Deletes documents that no item has or ever had and the index no longer holds; returns how many.

        What only the version before holds does not count: it is brought up to date when it is gone back to.
        """
        idle = select(IndexVersionRow.number).where(
            IndexVersionRow.state.in_([IndexState.PREVIOUS, IndexState.RETIRED])
        )
        held = exists().where(StandingRow.document_id == DocumentRow.id, StandingRow.version.not_in(idle))
        remembered = exists().where(VersionRow.document_id == DocumentRow.id)
        referenced = exists().where(ItemRow.document_id == DocumentRow.id)
        statement = delete(DocumentRow).where(not_(held), not_(remembered), not_(referenced))
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount

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

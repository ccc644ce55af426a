"""The repository of items: what each source holds, and which document each item is now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import NotFoundError
from intelforge.core.values import Document, Failure, ItemRef, ItemState, Validators
from intelforge.store.database import Database
from intelforge.store.tables import ChunkRow, DocumentRow, ItemRow, SourceRow, VersionRow

Each = TypeVar("Each")
VALIDATORS = ("size", "mtime_ns", "etag", "last_modified", "revision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is on record about an item."""

    state: ItemState
    validators: Validators
    code: str = ""
    reason: str = ""
    content_hash: str | None = None
    document_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """An item that was read: its document, or the same content as on record (`document` None)."""

    ref: ItemRef
    content_hash: str
    document: Document | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An item that was skipped or failed, with the reason. In state `ready` it keeps the document it has."""

    ref: ItemRef
    state: ItemState
    code: str
    reason: str


class Items:
    """The items of all sources."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def known(self, source_id: str, uris: Sequence[str] | None = None) -> dict[str, Known]:
        """What is on record of a source's items (of all, or of these), by URI; gone ones included."""
        statement = select(
            ItemRow.uri,
            ItemRow.state,
            ItemRow.code,
            ItemRow.reason,
            ItemRow.content_hash,
            ItemRow.document_id,
            *(getattr(ItemRow, name) for name in VALIDATORS),
        ).where(ItemRow.source_id == source_id)
        if uris is not None:
            statement = statement.where(ItemRow.uri.in_(uris))
        async with self._database.read() as connection:
            return {row.uri: _known(row) for row in await connection.execute(statement)}

    async def pend(self, source_id: str, refs: Sequence[ItemRef]) -> None:
        """Records new items as pending, so that `status` counts them; known ones keep their state."""
        rows = [
            {"source_id": source_id, "uri": ref.uri, "state": ItemState.PENDING, "updated_at": self._clock()}
            for ref in refs
        ]
        if rows:
            statement = self._database.insert(ItemRow).on_conflict_do_update(
                index_elements=["source_id", "uri"],
                set_={"state": ItemState.PENDING},
                where=ItemRow.state == ItemState.GONE,
            )
            async with self._database.write() as connection:
                await _require(connection, source_id)
                await connection.execute(statement, rows)

    async def record(self, source_id: str, outcomes: Sequence[Ingested | Rejected]) -> None:
        """Records what became of a batch, all of it or nothing. Doing it twice changes nothing more."""
        ingested = [outcome for outcome in outcomes if isinstance(outcome, Ingested)]
        async with self._database.write() as connection:
            await _require(connection, source_id)
            await self._store_documents(connection, [entry.document for entry in ingested if entry.document])
            await self._store_ingested(connection, source_id, ingested)
            await self._store_rejected(connection, source_id, [o for o in outcomes if isinstance(o, Rejected)])

    async def rename(self, source_id: str, old_uri: str, ref: ItemRef) -> bool:
        """Moves an item to a new URI, keeping its document and versions; False when the old one is not on record."""
        async with self._database.write() as connection:
            of_source = ItemRow.source_id == source_id
            target = update(ItemRow).where(of_source, ItemRow.uri == ref.uri)
            moved = await connection.execute(
                select(ItemRow.id).where(of_source, ItemRow.uri == old_uri, ItemRow.state == ItemState.READY)
            )
            if (item_id := moved.scalar_one_or_none()) is None:
                return False
            # A gone item may still stand at the new place: it steps aside under a name no item can have.
            await connection.execute(target.values(uri=ref.uri + "\n" + str(item_id), state=ItemState.GONE))
            values = {"uri": ref.uri, "updated_at": self._clock(), **_columns(ref.validators)}
            await connection.execute(update(ItemRow).where(ItemRow.id == item_id).values(**values))
            return True

    async def gone(self, source_id: str, uris: Sequence[str]) -> None:
        """Records that items are no longer at their source."""
        values = {"state": ItemState.GONE, "updated_at": self._clock(), "code": "", "reason": ""}
        async with self._database.write() as connection:
            for part in slices(uris):
                where = (ItemRow.source_id == source_id, ItemRow.uri.in_(part))
                await _undescribe(connection, DocumentRow.id.in_(select(ItemRow.document_id).where(*where)))
                await connection.execute(update(ItemRow).where(*where).values(**values))

    async def counts(self) -> dict[str, int]:
        """Items by state; gone ones are not counted."""
        statement = select(ItemRow.state, func.count()).where(ItemRow.state != ItemState.GONE).group_by(ItemRow.state)
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(statement)}

    async def failures(
        self, *, skipped: bool = False, since: datetime | None = None, limit: int | None = None
    ) -> list[Failure]:
        """Items that failed (and those skipped, when asked for), newest first.

        One in state `ready` could not be read again lately and keeps the document it has.
        """
        failed = or_(ItemRow.state == ItemState.FAILED, and_(ItemRow.state == ItemState.READY, ItemRow.code != ""))
        wanted = or_(failed, ItemRow.state == ItemState.SKIPPED) if skipped else failed
        statement = select(ItemRow).where(wanted).order_by(ItemRow.updated_at.desc(), ItemRow.uri)
        if since is not None:
            statement = statement.where(ItemRow.updated_at >= since)
        async with self._database.read() as connection:
            rows = await connection.execute(statement.limit(limit))
            return [
                Failure(
                    source_id=row.source_id,
                    uri=row.uri,
                    state=ItemState(row.state),
                    code=row.code,
                    reason=row.reason,
                    at=row.updated_at,
                )
                for row in rows
            ]

    async def _store_documents(self, connection: AsyncConnection, documents: Iterable[Document]) -> None:
        distinct = {document.id: document for document in documents}
        if not distinct:
            return
        for part in slices(list(distinct)):
            await _undescribe(connection, DocumentRow.id.in_(part))
        now = self._clock()
        rows = [_document_row(document) | {"created_at": now} for document in distinct.values()]
        await connection.execute(self._database.insert(DocumentRow).on_conflict_do_nothing(), rows)
        chunks = [
            _chunk_row(document, ordinal) for document in distinct.values() for ordinal in range(len(document.chunks))
        ]
        if chunks:
            await connection.execute(self._database.insert(ChunkRow).on_conflict_do_nothing(), chunks)

    async def _store_ingested(self, connection: AsyncConnection, source_id: str, ingested: Sequence[Ingested]) -> None:
        common = {
            "source_id": source_id,
            "state": ItemState.READY,
            "code": "",
            "reason": "",
            "updated_at": self._clock(),
        }
        rows = [
            common | _columns(entry.ref.validators) | {"uri": entry.ref.uri, "content_hash": entry.content_hash}
            for entry in ingested
        ]
        documents = {entry.ref.uri: entry.document.id for entry in ingested if entry.document}
        await self._upsert(connection, [row for row in rows if row["uri"] not in documents])
        changed = [row | {"document_id": documents[row["uri"]]} for row in rows if row["uri"] in documents]
        await self._upsert(connection, changed)
        await self._store_versions(connection, source_id, documents)

    async def _store_versions(self, connection: AsyncConnection, source_id: str, documents: Mapping[str, str]) -> None:
        """A new version for every item whose latest one is another document."""
        number = func.max(VersionRow.number).label("number")
        rows: list[dict[str, Any]] = []
        for part in slices(list(documents)):
            these = (ItemRow.source_id == source_id, ItemRow.uri.in_(part))
            of_these = VersionRow.item_id.in_(select(ItemRow.id).where(*these))
            last = select(VersionRow.item_id, number).where(of_these).group_by(VersionRow.item_id).subquery()
            items = await connection.execute(
                select(ItemRow.id, ItemRow.uri, VersionRow.number, VersionRow.document_id)
                .outerjoin(last, last.c.item_id == ItemRow.id)
                .outerjoin(VersionRow, (VersionRow.item_id == ItemRow.id) & (VersionRow.number == last.c.number))
                .where(*these)
            )
            rows.extend(
                {"item_id": item.id, "number": (item.number or 0) + 1, "document_id": documents[item.uri]}
                for item in items
                if item.document_id != documents[item.uri]
            )
        if rows:
            now = self._clock()
            await connection.execute(self._database.insert(VersionRow), [row | {"created_at": now} for row in rows])

    async def _store_rejected(self, connection: AsyncConnection, source_id: str, rejected: Sequence[Rejected]) -> None:
        rows = [
            _columns(entry.ref.validators)
            | {
                "source_id": source_id,
                "uri": entry.ref.uri,
                "state": entry.state,
                "code": entry.code,
                "reason": entry.reason,
                "updated_at": self._clock(),
                "content_hash": None,
                "document_id": None,
            }
            for entry in rejected
            if entry.state is not ItemState.READY
        ]
        await self._upsert(connection, rows)
        for entry in rejected:
            if entry.state is ItemState.READY:
                item = (ItemRow.source_id == source_id, ItemRow.uri == entry.ref.uri)
                values = {"code": entry.code, "reason": entry.reason, "updated_at": self._clock()}
                await connection.execute(update(ItemRow).where(*item).values(**values))

    async def _upsert(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        statement = self._database.insert(ItemRow)
        keys = {"source_id", "uri"}
        updates = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["source_id", "uri"], set_=updates), list(rows)
        )


async def _undescribe(connection: AsyncConnection, which: ColumnElement[bool]) -> None:
    """Marks documents whose attributes are about to change."""
    await connection.execute(update(DocumentRow).where(which).values(revision=DocumentRow.revision + 1))


async def _require(connection: AsyncConnection, source_id: str) -> None:
    """Raises NotFoundError when the source was removed meanwhile."""
    if (await connection.execute(select(SourceRow.id).where(SourceRow.id == source_id))).one_or_none() is None:
        raise NotFoundError("the source was removed meanwhile", hint="nothing is left to do for it")


def slices(values: Sequence[Each], size: int = 500) -> Iterable[Sequence[Each]]:
    """The values in parts small enough for one statement."""
    return (values[start : start + size] for start in range(0, len(values), size))


def _columns(validators: Validators) -> dict[str, Any]:
    return {name: getattr(validators, name) for name in VALIDATORS}


def _known(row: Any) -> Known:
    return Known(
        state=ItemState(row.state),
        validators=Validators(**{name: getattr(row, name) for name in VALIDATORS}),
        code=row.code,
        reason=row.reason,
        content_hash=row.content_hash,
        document_id=row.document_id,
    )


def _document_row(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "text": document.text,
        "media_type": document.media_type,
        "title": document.title,
        "language": document.language,
        "details": dict(document.metadata),
        "chunk_count": len(document.chunks),
        "revision": 0,
    }


def _chunk_row(document: Document, ordinal: int) -> Mapping[str, Any]:
    chunk = document.chunks[ordinal]
    return {
        "document_id": document.id,
        "ordinal": chunk.ordinal,
        "start_char": chunk.start,
        "end_char": chunk.end,
        "heading": chunk.heading,
        "kind": chunk.kind,
        "tokens": chunk.tokens,
    }

"""The repository of sources."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from intelforge.core.clock import Clock, utc_now
from intelforge.core.reports import SourceStatus
from intelforge.core.values import ItemState, Source, SourceKind
from intelforge.store.database import Database
from intelforge.store.tables import DocumentRow, ItemRow, SourceRow


class Sources:
    """Where items come from."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def add(self, source: Source) -> Source:
        """Adds a source. One with the same kind and URI is kept, with the new options and access list.

        That it may only go to local models stays so until `limit_models` says otherwise.
        """
        row = {
            "id": source.id,
            "kind": source.kind,
            "uri": source.uri,
            "options": dict(source.options),
            "access": list(source.access),
            "local_models_only": source.local_models_only,
            "created_at": self._clock(),
            "error": "",
        }
        statement = self._database.insert(SourceRow).values(**row)
        statement = statement.on_conflict_do_update(
            index_elements=["kind", "uri"],
            set_={
                "options": row["options"],
                "access": row["access"],
                "local_models_only": or_(SourceRow.local_models_only, statement.excluded.local_models_only),
            },
        ).returning(SourceRow)
        async with self._database.write() as connection:
            added = _source((await connection.execute(statement)).one())
            await _undescribe(connection, added.id)
            return added

    async def all(self) -> list[Source]:
        async with self._database.read() as connection:
            rows = await connection.execute(select(SourceRow).order_by(SourceRow.created_at, SourceRow.id))
            return [_source(row) for row in rows]

    async def get(self, source_id: str) -> Source | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(SourceRow).where(SourceRow.id == source_id))).one_or_none()
            return _source(row) if row else None

    async def statuses(self) -> list[SourceStatus]:
        """Every source with its items by state; gone items are not counted."""
        counted = select(ItemRow.source_id, ItemRow.state, func.count()).group_by(ItemRow.source_id, ItemRow.state)
        counts: dict[str, dict[str, int]] = {}
        async with self._database.read() as connection:
            for source_id, state, number in await connection.execute(counted.where(ItemRow.state != ItemState.GONE)):
                counts.setdefault(source_id, {})[state] = number
            rows = (await connection.execute(select(SourceRow).order_by(SourceRow.created_at, SourceRow.id))).all()
        return [
            SourceStatus(source=_source(row), items=counts.get(row.id, {}), last_sync=row.synced_at, error=row.error)
            for row in rows
        ]

    async def limit_models(self, source_id: str, *, local_only: bool) -> None:
        """Says whether what the source holds may only go to models on this machine, from now on."""
        await self._update(source_id, {"local_models_only": local_only})

    async def synced(self, source_id: str, *, cursor: str | None) -> None:
        """Records a listing that came to its end."""
        await self._update(source_id, {"cursor": cursor, "synced_at": self._clock(), "error": ""})

    async def failed(self, source_id: str, error: str) -> None:
        """Records why a listing did not come to its end."""
        await self._update(source_id, {"error": error})

    async def remove(self, source_id: str) -> None:
        """Removes the source with its items and their history. Documents are left to the reconciler."""
        async with self._database.write() as connection:
            await _undescribe(connection, source_id)
            await connection.execute(delete(SourceRow).where(SourceRow.id == source_id))

    async def _update(self, source_id: str, values: Mapping[str, str | bool | datetime | None]) -> None:
        async with self._database.write() as connection:
            await connection.execute(update(SourceRow).where(SourceRow.id == source_id).values(**values))


async def _undescribe(connection: AsyncConnection, source_id: str) -> None:
    """Marks the source's documents, whose attributes are about to change."""
    of_source = select(ItemRow.document_id).where(ItemRow.source_id == source_id)
    marked = update(DocumentRow).where(DocumentRow.id.in_(of_source))
    await connection.execute(marked.values(revision=DocumentRow.revision + 1))


def _source(row: Any) -> Source:
    return Source(
        id=row.id,
        kind=SourceKind(row.kind),
        uri=row.uri,
        options=row.options,
        access=tuple(row.access),
        local_models_only=row.local_models_only,
        cursor=row.cursor,
    )

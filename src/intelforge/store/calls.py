"""The ledger's rows in the database of record."""

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import select

from intelforge.store.database import Database
from intelforge.store.tables import CallRow


class Call(Protocol):
    """A ledger entry, as `models` has it."""

    @property
    def id(self) -> str: ...


class Calls:
    """Keeps every model call: reserved before it is made, settled after."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, call: Call) -> None:
        await self._write(call)

    async def settle(self, call: Call) -> None:
        await self._write(call)

    async def all(self) -> list[Mapping[str, Any]]:
        """Every call as a mapping of its columns, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(CallRow).order_by(CallRow.at, CallRow.id))
            return [row._asdict() for row in rows]

    async def _write(self, call: Call) -> None:
        values = {column.name: getattr(call, column.name) for column in CallRow.__table__.columns}
        statement = self._database.insert(CallRow).values(**values)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

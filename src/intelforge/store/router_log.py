"""The repository of the router's calls and states. Bounded: the oldest calls are forgotten."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from intelforge.store.database import Database
from intelforge.store.tables import RouterCallRow, RouterStateRow


class RouterCalls:
    """Rows as mappings of their columns; `models` knows what they mean."""

    def __init__(self, database: Database, *, kept: int) -> None:
        self._database = database
        self._kept = kept

    async def record(self, call: Mapping[str, Any]) -> None:
        """Adds a call; one of the same id takes its place."""
        statement = self._database.insert(RouterCallRow).values(**call)
        oldest = (
            select(RouterCallRow.id)
            .order_by(RouterCallRow.at.desc(), RouterCallRow.id.desc())
            .offset(self._kept)
            .limit(self._kept)
        )
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=dict(call)))
            await connection.execute(delete(RouterCallRow).where(RouterCallRow.id.in_(oldest)))

    async def judge(self, call: str, *, quality: float, source: str) -> Mapping[str, Any] | None:
        """Notes how good a reply was; None when no such call is on record."""
        async with self._database.write() as connection:
            await connection.execute(
                update(RouterCallRow).where(RouterCallRow.id == call).values(quality=quality, source=source)
            )
            row = (await connection.execute(select(RouterCallRow).where(RouterCallRow.id == call))).one_or_none()
        return row._asdict() if row else None

    async def all(self) -> Sequence[Mapping[str, Any]]:
        """Every call on record, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(RouterCallRow).order_by(RouterCallRow.at, RouterCallRow.id))
            return [row._asdict() for row in rows]

    async def save(self, name: str, state: bytes, *, at: datetime) -> None:
        values = {"name": name, "at": at, "state": state}
        statement = self._database.insert(RouterStateRow).values(**values)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    async def load(self, name: str) -> bytes | None:
        async with self._database.read() as connection:
            statement = select(RouterStateRow.state).where(RouterStateRow.name == name)
            return (await connection.execute(statement)).scalar_one_or_none()

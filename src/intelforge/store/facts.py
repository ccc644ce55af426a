"""The repository of facts: small measured values of the workspace, such as the embedding rate."""

from sqlalchemy import select

from intelforge.store.database import Database
from intelforge.store.tables import FactRow


class Facts:
    """Values by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> str | None:
        async with self._database.read() as connection:
            statement = select(FactRow.value).where(FactRow.name == name)
            return (await connection.execute(statement)).scalar_one_or_none()

    async def set(self, name: str, value: str) -> None:
        statement = self._database.insert(FactRow).values(name=name, value=value)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

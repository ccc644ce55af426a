"""The repository of what was measured of models: every profile is kept, the newest counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from intelforge.store.database import Database
from intelforge.store.tables import ModelProfileRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProfile:
    """What was measured of one model at one time."""

    model: str
    at: datetime
    result: Mapping[str, Any]


class ModelProfiles:
    """Profiles by model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, profile: StoredProfile) -> None:
        values = {"model": profile.model, "at": profile.at, "result": dict(profile.result)}
        async with self._database.write() as connection:
            await connection.execute(insert(ModelProfileRow).values(**values))

    async def latest(self, model: str) -> StoredProfile | None:
        """The newest one of a model."""
        statement = (
            select(ModelProfileRow.model, ModelProfileRow.at, ModelProfileRow.result)
            .where(ModelProfileRow.model == model)
            .order_by(ModelProfileRow.at.desc(), ModelProfileRow.id.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return StoredProfile(**row._asdict()) if row else None

    async def all(self) -> list[StoredProfile]:
        """The newest one of every model, by name."""
        newest = select(func.max(ModelProfileRow.id)).group_by(ModelProfileRow.model)
        statement = (
            select(ModelProfileRow.model, ModelProfileRow.at, ModelProfileRow.result)
            .where(ModelProfileRow.id.in_(newest))
            .order_by(ModelProfileRow.model)
        )
        async with self._database.read() as connection:
            return [StoredProfile(**row._asdict()) for row in await connection.execute(statement)]

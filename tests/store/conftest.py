from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from intelforge.core.values import Source, SourceKind
from intelforge.store.database import Database, open_database
from intelforge.store.documents import Documents
from intelforge.store.items import Items
from intelforge.store.sources import Sources
from intelforge.store.standings import Standings
from intelforge.testing.recorder import Recorder


class Time:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(database_url, root=tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def items(database: Database, clock: Time) -> Items:
    return Items(database, clock=clock)


@pytest.fixture
def documents(database: Database) -> Documents:
    return Documents(database)


@pytest.fixture
def standings(database: Database) -> Standings:
    """Of the first version of the index."""
    return Standings(database, 1)


@pytest.fixture
def recorder(items: Items, source: Source) -> Recorder:
    return Recorder(items, source)


@pytest.fixture
def sources(database: Database, clock: Time) -> Sources:
    return Sources(database, clock=clock)


@pytest.fixture
async def source(sources: Sources) -> Source:
    """A folder that everyone may see."""
    return await sources.add(Source(id="s1", kind=SourceKind.FOLDER, uri="/data/docs"))

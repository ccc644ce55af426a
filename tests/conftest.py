"""What the tests of several packages need: a database of each kind, fresh for every test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import delete

from intelforge.core.errors import NotFoundError
from intelforge.store.database import Database, open_database
from intelforge.store.tables import BudgetRow, CallRow
from intelforge.testing.postgres import pgvector_server, postgres_database, postgres_server

# How long an example takes to draw says something of the machine, not of the code.
settings.register_profile("suite", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def skip_for_want(reason: str) -> None:
    """Skips the test, or fails it where nothing may be wanting."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres_server())
        except NotFoundError as error:
            skip_for_want(str(error))
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL."""
    with postgres_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
def pgvector() -> Iterator[str]:
    """The URL of a PostgreSQL server that has pgvector."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(pgvector_server())
        except NotFoundError as error:
            skip_for_want(str(error))
        yield url


@pytest.fixture
def pgvector_url(pgvector: str) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL with pgvector."""
    with postgres_database(pgvector) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with tables, on SQLite and on PostgreSQL, for the tests of one file."""
    folder = tmp_path_factory.mktemp("database")
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'test.db'}"
        if request.param == "postgresql":
            url = stack.enter_context(postgres_database(request.getfixturevalue("postgres")))
        asyncio.run(_migrate(url, folder))
        yield url


async def _migrate(url: str, folder: Path) -> None:
    await (await open_database(url, root=folder)).close()


@pytest.fixture
async def emptied(migrated_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """That database without calls and budgets."""
    opened = await open_database(migrated_url, root=tmp_path)
    async with opened.write() as connection:
        await connection.execute(delete(CallRow))
        await connection.execute(delete(BudgetRow))
    yield opened
    await opened.close()

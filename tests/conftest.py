"""What the tests of several packages need: a database of each kind, fresh for every test."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from intelforge.core.errors import NotFoundError
from intelforge.testing.postgres import pgvector_server, postgres_database, postgres_server


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

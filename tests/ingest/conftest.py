from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intelforge.store.database import open_database
from intelforge.testing.ingestion import Ingestion


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Ingestion]:
    database = await open_database("sqlite:///test.db", root=tmp_path)
    yield Ingestion(database=database)
    await database.close()

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from intelforge.core.model_reports import Profile
from intelforge.models.catalogue.kept_profiles import KeptProfiles
from intelforge.store.database import Database, open_database
from intelforge.store.model_profiles import ModelProfiles, StoredProfile

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(database_url, root=tmp_path)
    yield opened
    await opened.close()


async def test_the_newest_profile_of_each_model_counts(database: Database) -> None:
    profiles = ModelProfiles(database)
    for days, model in enumerate(("b:x", "a:y", "b:x")):
        await profiles.keep(StoredProfile(model=model, at=AT + timedelta(days=days), result={"day": days}))
    latest = await profiles.latest("b:x")
    assert latest == StoredProfile(model="b:x", at=AT + timedelta(days=2), result={"day": 2})
    assert [one.model for one in await profiles.all()] == ["a:y", "b:x"]
    assert await profiles.latest("c:z") is None


async def test_a_profile_that_cannot_be_read_is_as_if_it_were_not_there(database: Database) -> None:
    store = ModelProfiles(database)
    kept = KeptProfiles(store)
    measured = Profile(model="a:b", at=AT, trials=(), first_token_seconds=0.1, tokens_per_second=9.0)
    await kept.keep(measured)
    await store.keep(StoredProfile(model="c:d", at=AT, result={"skills": "of a later version"}))
    assert await kept.latest("a:b") == measured
    assert await kept.latest("c:d") is None
    assert await kept.all() == [measured]

"""A store of replies of each kind, empty and with a clock of the test's."""

import importlib.util
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from intelforge.models.response_cache.disk import DiskReplies
from intelforge.models.response_cache.protocol import ReplyStore
from intelforge.testing.reply_store import Clock, OpenStore

REDIS_URL = os.environ.get("INTELFORGE_TEST_REDIS", "redis://localhost:6379/9")

PATIENT_SECONDS = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["disk", "redis"])
async def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenStore]:
    """Opens stores that share what they keep, and that wait for a busy machine instead of doing without."""
    monkeypatch.setattr("intelforge.core.cache_file.BUSY_SECONDS", PATIENT_SECONDS)
    opened: list[ReplyStore] = []
    prefix = f"intelforge:test:{uuid4().hex}:"

    def disk(**options: float) -> ReplyStore:
        opened.append(DiskReplies(tmp_path / "responses.db", clock=clock, **options))  # type: ignore[arg-type]
        return opened[-1]

    def redis(**options: float) -> ReplyStore:
        from intelforge.models.response_cache.redis import RedisReplies

        opened.append(RedisReplies(REDIS_URL, prefix=prefix, clock=clock, **options))  # type: ignore[arg-type]
        return opened[-1]

    if request.param == "redis":
        await _redis_or_skip()
        monkeypatch.setattr("intelforge.models.response_cache.redis.TIMEOUT", PATIENT_SECONDS)
    yield disk if request.param == "disk" else redis
    for store in opened:
        await store.clear()
        await store.close()


async def _redis_or_skip() -> None:
    if importlib.util.find_spec("redis") is None:
        pytest.skip("needs the extra redis")
    from intelforge.models.response_cache.redis import RedisReplies

    store = RedisReplies(REDIS_URL)
    await store.get(b"x")
    await store.close()
    if store.trouble:
        pytest.skip(f"needs a Redis at {REDIS_URL}")

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from intelforge.collect.protocol import Collector
from intelforge.core.errors import ItemError
from intelforge.core.values import Source, SourceKind
from intelforge.ingest import watch as module
from intelforge.ingest.watch import Watch
from intelforge.testing.collector import MemoryCollector

DEADLINE = 20
SOURCES = [Source(id=name, kind=SourceKind.FOLDER, uri=f"/{name}") for name in ("a", "b")]


@dataclass(kw_only=True)
class Bell(MemoryCollector):
    """A collector that changes when it is rung."""

    rung: asyncio.Queue[bool] = field(default_factory=asyncio.Queue)

    async def watch(self) -> AsyncIterator[None]:
        while True:
            if not await self.rung.get():
                raise ItemError("it cannot be watched")
            yield None


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> dict[str, Bell]:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    return {source.id: Bell() for source in SOURCES}


def watching(bells: dict[str, Bell], stopping: asyncio.Event) -> Watch:
    def collector_of(source: Source) -> Collector:
        return bells[source.id]

    return Watch(SOURCES, collector_of, stopping)


async def test_changes_that_come_together_are_told_together(bells: dict[str, Bell]) -> None:
    for bell in bells.values():
        for _ in range(3):
            bell.rung.put_nowait(True)
    stopping = asyncio.Event()
    changes = watching(bells, stopping).changes()
    async with asyncio.timeout(DEADLINE):
        assert await anext(changes) == ["a", "b"]
        bells["b"].rung.put_nowait(True)
        assert await anext(changes) == ["b"]
    await changes.aclose()
    assert [bell.closed for bell in bells.values()] == [1, 1]


async def test_a_source_that_cannot_be_watched_is_synced_and_tried_again(bells: dict[str, Bell]) -> None:
    bells["a"].rung.put_nowait(False)
    changes = watching(bells, asyncio.Event()).changes()
    async with asyncio.timeout(DEADLINE):
        assert await anext(changes) == ["a"]
        bells["a"].rung.put_nowait(True)
        assert await anext(changes) == ["a"]
    await changes.aclose()


async def test_watching_ends_when_it_is_stopped(bells: dict[str, Bell]) -> None:
    stopping = asyncio.Event()
    changes = watching(bells, stopping).changes()
    stopping.set()
    async with asyncio.timeout(DEADLINE):
        assert [one async for one in changes] == []

import pytest

from intelforge.collect.protocol import Collector
from intelforge.core.errors import NotFoundError
from intelforge.core.values import Source, SourceKind
from intelforge.ingest.collectors import Collectors
from intelforge.testing.collector import MemoryCollector
from intelforge.testing.ingestion import Ingestion

SOURCE = Source(id="s1", kind=SourceKind.FOLDER, uri="/data")


async def test_listing_and_batches_share_a_collector_and_a_fresh_listing_gets_a_fresh_one(scene: Ingestion) -> None:
    await scene.sources.add(SOURCE)
    made: list[MemoryCollector] = []

    def make(source: Source) -> Collector:
        made.append(MemoryCollector())
        return made[-1]

    collectors = Collectors(scene.sources, make)
    first = await collectors.of("s1")
    assert await collectors.of("s1") is first
    second = await collectors.open(SOURCE)
    assert second is not first
    assert await collectors.of("s1") is second
    assert [collector.closed for collector in made] == [1, 0]
    await collectors.close()
    assert [collector.closed for collector in made] == [1, 1]


async def test_a_batch_of_a_removed_source_says_so(scene: Ingestion) -> None:
    collectors = Collectors(scene.sources, lambda source: MemoryCollector())
    with pytest.raises(NotFoundError, match="s1 was removed"):
        await collectors.of("s1")

import asyncio
from collections.abc import Sequence

from intelforge.core.clock import utc_now
from intelforge.core.errors import StorageError
from intelforge.index.journal import SearchJournal
from intelforge.store.database import Database
from intelforge.store.searches import KEPT, Search, Searches


class Recorded(Searches):
    """Keeps in memory what is recorded; waits or fails when it is told to."""

    def __init__(self) -> None:
        super().__init__(Database.__new__(Database))
        self.calls: list[int] = []
        self.error: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def record(self, searches: Sequence[Search]) -> None:
        await self.go_on.wait()
        if self.error:
            raise self.error
        self.calls.append(len(searches))


def search() -> Search:
    return Search(at=utc_now(), seconds=0.1, parts={})


async def test_searches_are_written_together_when_the_workspace_closes() -> None:
    record = Recorded()
    journal = SearchJournal(record, later=3600)
    for _ in range(3):
        journal.add(search())
    assert record.calls == []
    await journal.close()
    assert record.calls == [3]
    await SearchJournal(record).close()


async def test_they_are_written_a_little_later_without_that() -> None:
    record = Recorded()
    journal = SearchJournal(record, later=0)
    for expected in ([1], [1, 1]):
        journal.add(search())
        assert journal._task
        await journal._task
        assert record.calls == expected
    await journal.close()


async def test_what_cannot_be_written_is_dropped() -> None:
    record = Recorded()
    record.error = StorageError("the disk is full")
    journal = SearchJournal(record, later=3600)
    journal.add(search())
    await journal.close()
    assert record.calls == []


async def test_no_more_wait_than_can_be_kept() -> None:
    record = Recorded()
    journal = SearchJournal(record, later=3600)
    for _ in range(KEPT + 5):
        journal.add(search())
    await journal.close()
    assert record.calls == [KEPT]


async def test_closing_does_not_wait_for_a_database_that_does_not_answer() -> None:
    record = Recorded()
    record.go_on.clear()
    journal = SearchJournal(record, later=3600, at_the_end=0)
    journal.add(search())
    await journal.close()
    assert record.calls == []
    assert journal._task
    await asyncio.wait({journal._task})

import asyncio

import pytest

from intelforge.core.errors import StorageError
from intelforge.core.index_reports import BuildReason
from intelforge.core.values import Source, SourceKind
from intelforge.store.database import Database
from intelforge.store.documents import Documents
from intelforge.store.index_versions import IndexVersions
from intelforge.store.items import Items
from intelforge.store.sources import Sources
from intelforge.store.standings import KEPT_SECONDS, RECENT_SECONDS, Counts, Standing, Standings
from intelforge.testing.documents import make_document
from intelforge.testing.recorder import Recorder

ONE = make_document("first paragraph\n\nsecond paragraph", title="One")
TWO = make_document("another text", title="Two")


async def test_counts_are_of_current_distinct_documents(standings: Standings, recorder: Recorder) -> None:
    assert await standings.counts() == Counts(documents=0, chunks=0, indexed=0, embedded=0)
    await recorder.put({"a": ONE, "copy": ONE, "b": TWO})
    await standings.set_indexed({ONE.id: 0})
    await standings.set_embedded({ONE.id: 1})
    assert await standings.embedded_up_to({ONE.id: 1, TWO.id: 0}) == {ONE.id}
    assert await standings.embedded_up_to({ONE.id: 0}) == set()
    assert await standings.counts() == Counts(documents=2, chunks=3, indexed=2, embedded=1)
    await recorder.drop(["b"])
    assert await standings.counts() == Counts(documents=1, chunks=2, indexed=2, embedded=1)


async def test_recent_counts_are_counted_again_after_a_while_and_after_a_write(
    database: Database, recorder: Recorder
) -> None:
    now = 0.0
    standings = Standings(database, 1, now=lambda: now)
    assert (await standings.recent_counts()).chunks == 0
    await recorder.put({"a": ONE})
    assert (await standings.recent_counts()).chunks == 0
    now = KEPT_SECONDS + 0.1
    assert (await standings.recent_counts()).chunks == 2
    await standings.set_indexed({ONE.id: 0})
    assert (await standings.recent_counts()).indexed == 2


async def test_nobody_waits_for_counts_that_are_a_little_old(
    database: Database, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, again, counted = 0.0, asyncio.Event(), 0
    standings = Standings(database, 1, now=lambda: now)
    await standings.recent_counts()
    await recorder.put({"a": ONE})
    counts = standings.counts

    async def slow() -> Counts:
        nonlocal counted
        counted += 1
        await again.wait()
        return await counts()

    monkeypatch.setattr(standings, "counts", slow)
    now = RECENT_SECONDS + 0.1
    assert [(await standings.recent_counts()).chunks for _ in range(3)] == [0, 0, 0]
    again.set()
    assert standings._recounting
    await standings._recounting
    assert (await standings.recent_counts()).chunks == 2
    assert counted == 1


async def test_a_count_that_fails_unseen_leaves_the_last_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    standings = Standings(database, 1, now=lambda: now)
    first = await standings.recent_counts()

    async def failing() -> Counts:
        raise StorageError("the database is away")

    monkeypatch.setattr(standings, "counts", failing)
    now = RECENT_SECONDS + 0.1
    assert await standings.recent_counts() == first
    assert standings._recounting
    await asyncio.wait([standings._recounting])
    assert await standings.recent_counts() == first


async def test_counting_reads_no_row_that_has_a_text(database: Database, standings: Standings) -> None:
    async with database.read() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("the plan is SQLite's")
        statement = standings._totals.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        plan = [str(list(row)[3]) for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    assert "SCAN documents USING COVERING INDEX ix_documents_chunk_count" in plan
    assert any("index_standings USING PRIMARY KEY" in step for step in plan)


async def test_what_is_current_and_not_indexed_is_found_again_until_it_is(
    standings: Standings, recorder: Recorder
) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    assert set(await standings.unindexed(limit=9)) == {ONE.id, TWO.id}
    assert len(await standings.unindexed(limit=1)) == 1
    await standings.set_indexed({ONE.id: 0})
    assert await standings.unindexed(limit=9) == [TWO.id]
    assert await standings.waiting([ONE.id, TWO.id]) == [TWO.id]
    await recorder.drop(["b"])
    assert await standings.unindexed(limit=9) == []
    assert await standings.waiting([TWO.id]) == []


async def test_an_indexed_document_no_item_has_is_abandoned(standings: Standings, recorder: Recorder) -> None:
    await recorder.put({"a": ONE, "copy": ONE})
    await standings.set_indexed({ONE.id: 0})
    await recorder.drop(["a"])
    assert await standings.abandoned(limit=9) == []
    await recorder.drop(["copy"])
    assert await standings.abandoned(limit=9) == [ONE.id]


async def test_embedding_goes_on_where_it_stopped(standings: Standings, recorder: Recorder) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    assert await standings.unembedded(limit=9, local=True) == []
    await standings.set_indexed({ONE.id: 0, TWO.id: 0})
    await standings.set_embedded({ONE.id: 1, TWO.id: 1})
    assert await standings.unembedded(limit=9, local=True) == [(ONE.id, 1)]


async def test_a_document_that_left_the_index_has_no_vectors(standings: Standings, recorder: Recorder) -> None:
    await recorder.put({"a": ONE})
    await standings.set_indexed({ONE.id: 0})
    await standings.set_embedded({ONE.id: 2})
    await standings.set_indexed({ONE.id: 3})
    assert await standings.all() == {ONE.id: Standing(chunks=2, vectors=2)}
    await standings.forget([ONE.id])
    assert await standings.all() == {}
    await standings.set_indexed({ONE.id: 0})
    assert await standings.of([ONE.id, "unknown"]) == {ONE.id: Standing(chunks=2, vectors=0)}


async def test_a_document_that_was_deleted_meanwhile_is_not_recorded(standings: Standings, recorder: Recorder) -> None:
    await recorder.put({"a": ONE})
    await standings.set_indexed({ONE.id: 0, "deleted": 0})
    assert set(await standings.all()) == {ONE.id}


async def test_a_change_of_access_makes_a_description_old(
    standings: Standings, documents: Documents, recorder: Recorder, sources: Sources, source: Source
) -> None:
    await recorder.put({"a": ONE})
    await standings.set_indexed(await documents.revisions([ONE.id]))
    assert await standings.undescribed(limit=9) == []
    await sources.add(Source(id=source.id, kind=source.kind, uri=source.uri, access=("ann",)))
    assert await standings.undescribed(limit=9) == [ONE.id]


async def test_versions_stand_each_for_itself(database: Database, standings: Standings, recorder: Recorder) -> None:
    other = Standings(database, 2)
    await recorder.put({"a": ONE, "b": TWO})
    await standings.set_indexed({ONE.id: 0, TWO.id: 0})
    await standings.set_embedded({ONE.id: 2})
    assert set(await other.unindexed(limit=9)) == {ONE.id, TWO.id}
    assert await other.counts() == Counts(documents=2, chunks=3, indexed=0, embedded=0)
    await other.set_indexed({ONE.id: 0})
    assert await other.unembedded(limit=9, local=True) == [(ONE.id, 0)]
    await other.forget([ONE.id])
    assert await standings.counts() == Counts(documents=2, chunks=3, indexed=3, embedded=2)


async def test_a_document_only_the_version_before_holds_is_purged(
    database: Database, documents: Documents, recorder: Recorder, sources: Sources, source: Source
) -> None:
    versions = IndexVersions(database)
    first = await versions.first(url="memory:", embedder="none:")
    await recorder.put({"a": ONE})
    await Standings(database, first.number).set_indexed({ONE.id: 0})
    second = await versions.begin(url="memory:", embedder="none:", model="", reason=BuildReason.REBUILD)
    await versions.go_live(second.number)
    await sources.remove(source.id)
    assert await documents.purge() == 1
    assert await Standings(database, first.number).all() == {}


async def test_what_may_only_go_to_local_models_is_withheld_from_others(
    sources: Sources, source: Source, standings: Standings, items: Items, recorder: Recorder
) -> None:
    limited = await sources.add(Source(id="s2", kind=SourceKind.FOLDER, uri="/contracts", local_models_only=True))
    await recorder.put({"b": TWO})
    await Recorder(items, limited).put({"a": ONE})
    counts = await standings.counts()
    assert (counts.withheld, counts.left(local=True), counts.left(local=False)) == (2, 3, 1)
    await standings.set_indexed({ONE.id: 0, TWO.id: 0})
    assert await standings.unembedded(limit=9, local=False) == [(TWO.id, 0)]
    assert len(await standings.unembedded(limit=9, local=True)) == 2
    await standings.set_embedded({ONE.id: 1, TWO.id: 1})
    counts = await standings.counts()
    assert (counts.withheld, counts.left(local=True), counts.left(local=False)) == (1, 1, 0)
    await sources.limit_models("s2", local_only=False)
    assert (await standings.counts()).withheld == 0
    assert await standings.unembedded(limit=9, local=False) == [(ONE.id, 1)]

import asyncio
from dataclasses import replace

import pytest

from intelforge.collect.protocol import Collector, Complete, Removed, Renamed, Skipped
from intelforge.core.errors import ErrorCode, ItemError, NotFoundError, StorageError
from intelforge.core.reports import Stage, SyncReport
from intelforge.core.values import ItemRef, Source, SourceKind
from intelforge.ingest.collectors import Collectors
from intelforge.ingest.sync import Sync
from intelforge.store.leases import Leases
from intelforge.testing.collector import validators_of
from intelforge.testing.embedder import HashEmbedder
from intelforge.testing.ingestion import Ingestion

DEADLINE = 20
SOURCE = Source(id="s1", kind=SourceKind.FOLDER, uri="/data")
TEXTS = {f"{n}.txt": f"about number{n} only" for n in range(10)}


async def test_the_first_sync_makes_everything_findable(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    report = await scene.sync()
    assert (report.added, report.failed, report.complete, report.errors) == (10, 0, True, ())
    assert await scene.found("number7") == {"7.txt"}
    [status] = await scene.sources.statuses()
    assert (status.items, status.error) == ({"ready": 10}, "")
    assert status.last_sync is not None


async def test_unchanged_items_are_not_fetched_again(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    await scene.sync()
    scene.collector.fetched.clear()
    report = await scene.sync()
    assert (report.unchanged, report.added, report.changed) == (10, 0, 0)
    assert scene.collector.fetched == []


async def test_a_change_replaces_what_is_found(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    await scene.sync()
    scene.collector.texts["3.txt"] = "about something else"
    report = await scene.sync()
    assert (report.changed, report.unchanged) == (1, 9)
    assert await scene.found("number3") == set()
    assert await scene.found("something") == {"3.txt"}
    assert len(await scene.store.inventory()) == 10


async def test_a_vanished_item_leaves_index_and_answers_after_a_complete_listing(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    await scene.sync()
    del scene.collector.texts["3.txt"]
    report = await scene.sync()
    assert report.removed == 1
    assert await scene.found("number3") == set()
    assert len(await scene.store.inventory()) == 9


async def test_nothing_vanishes_when_a_listing_breaks_off_and_what_it_named_is_done(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    await scene.sync()
    scene.collector.texts = {"9.txt": TEXTS["9.txt"], "new1.txt": "about fresh1", "new2.txt": "about fresh2"}
    scene.collector.end = NotFoundError("the disk was taken away")
    scene.batch_items = 1
    report = await scene.sync()
    assert (report.complete, report.removed) == (False, 0)
    assert report.errors == ("/data: the disk was taken away",)
    assert await scene.found("number3") == {"3.txt"}
    assert await scene.found("fresh1") == {"new1.txt"}
    [status] = await scene.sources.statuses()
    assert status.error == "the disk was taken away"
    scene.collector.end = Complete(full=True)
    report = await scene.sync()
    assert (report.complete, report.removed) == (True, 9)
    assert (await scene.sources.statuses())[0].error == ""


async def test_silence_about_what_could_not_be_read_means_nothing(scene: Ingestion) -> None:
    scene.collector.texts = {"open/a.txt": "about alpha", "locked/b.txt": "about beta", "locked2/c.txt": "about gamma"}
    await scene.sync()
    scene.collector.texts.clear()
    scene.collector.end = Complete(full=True, unread=("locked/",))
    report = await scene.sync()
    assert report.removed == 2
    assert set(await scene.ready()) == {"locked/b.txt"}
    assert await scene.found("beta") == {"locked/b.txt"}


async def test_an_incremental_listing_takes_as_gone_only_what_it_names(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    scene.collector.end = Complete(full=True, cursor="c1")
    await scene.sync()
    scene.collector.texts = {}
    scene.collector.before = [Removed(uri="3.txt")]
    scene.collector.end = Complete(full=False, cursor="c2")
    report = await scene.sync()
    assert report.removed == 1
    assert len(await scene.ready()) == 9
    [source] = await scene.sources.all()
    assert source.cursor == "c2"


async def test_a_rename_keeps_the_document_and_reads_nothing(scene: Ingestion) -> None:
    scene.collector.texts = {"old.txt": "about alpha"}
    await scene.sync()
    scene.collector.fetched.clear()
    scene.collector.texts = {}
    scene.collector.before = [Renamed(old_uri="old.txt", ref=ItemRef(uri="new.txt"))]
    scene.collector.end = Complete(full=False, cursor="c2")
    report = await scene.sync()
    assert (report.renamed, report.removed) == (1, 0)
    assert await scene.found("alpha") == {"new.txt"}
    assert scene.collector.fetched == []


async def test_equal_texts_are_one_document_and_one_stays_when_the_other_goes(scene: Ingestion) -> None:
    scene.collector.texts = {"a.txt": "about alpha", "b.txt": "about alpha"}
    await scene.sync()
    assert len(await scene.store.inventory()) == 1
    assert await scene.found("alpha") == {"a.txt", "b.txt"}
    del scene.collector.texts["a.txt"]
    await scene.sync()
    assert await scene.found("alpha") == {"b.txt"}


async def test_one_bad_item_does_not_stop_the_batch_and_says_why(scene: Ingestion) -> None:
    scene.collector.texts = {**TEXTS, "bad.txt": "BAD file"}
    report = await scene.sync()
    assert (report.added, report.failed, report.complete) == (10, 1, True)
    [failure] = await scene.items.failures()
    assert (failure.uri, failure.code, failure.reason) == ("bad.txt", "damaged", "bad.txt is damaged")


async def test_a_failed_item_is_read_again_only_on_demand_or_when_it_changed(scene: Ingestion) -> None:
    scene.collector.texts = {"bad.txt": "BAD file"}
    await scene.sync()
    await scene.sync()
    assert scene.refined == ["bad.txt"]
    await scene.sync(retry_failed=True)
    assert scene.refined == ["bad.txt"] * 2
    scene.collector.texts["bad.txt"] = "good at last"
    report = await scene.sync()
    assert report.failed == 0
    assert await scene.found("good") == {"bad.txt"}


async def test_what_can_pass_is_tried_again_and_keeps_its_document_meanwhile(scene: Ingestion) -> None:
    scene.collector.texts = {"a.txt": "about alpha"}
    await scene.sync()
    scene.collector.texts["a.txt"] = "about beta"
    scene.collector.errors["a.txt"] = ItemError("a.txt was changed while read", code=ErrorCode.CHANGED_WHILE_READ)
    report = await scene.sync()
    assert report.failed == 1
    assert await scene.found("alpha") == {"a.txt"}
    scene.collector.errors.clear()
    await scene.sync()
    assert await scene.found("beta") == {"a.txt"}
    assert await scene.found("alpha") == set()
    assert await scene.items.failures() == []


async def test_what_is_no_text_is_skipped(scene: Ingestion) -> None:
    scene.collector.texts = {"a.bin": "x"}
    scene.collector.errors["a.bin"] = ItemError("a.bin is no text", code=ErrorCode.UNSUPPORTED)
    scene.collector.before = [Skipped(uri="b.bin", code=ErrorCode.TOO_LARGE, reason="b.bin is too large")]
    report = await scene.sync()
    assert (report.added, report.failed, report.skipped) == (0, 0, 2)
    assert await scene.items.counts() == {"skipped": 2}
    assert {f.uri for f in await scene.items.failures(skipped=True)} == {"a.bin", "b.bin"}


async def test_what_vanishes_between_listing_and_reading_is_gone(scene: Ingestion) -> None:
    scene.collector.texts = {"a.txt": "about alpha"}
    scene.collector.errors["a.txt"] = NotFoundError("a.txt is gone")
    await scene.sync()
    assert await scene.items.counts() == {}


async def test_a_stopped_sync_says_so_and_the_next_one_goes_on(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    scene.batch_items, scene.stop_after = 2, 2
    report = await scene.sync()
    assert not report.complete
    first = len(scene.refined)
    assert first < 10
    assert len(await scene.ready()) == first
    assert (await scene.sources.statuses())[0].last_sync is None
    scene.stopping, scene.stop_after = False, None
    report = await scene.sync()
    assert report.complete
    assert await scene.ready() == TEXTS
    assert sorted(scene.refined) == sorted(TEXTS)


async def test_stopping_never_makes_anything_vanish(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    await scene.sync()
    scene.collector.texts = {"new.txt": "about fresh"}
    scene.stopping = True
    report = await scene.sync()
    assert (report.complete, report.removed) == (False, 0)
    assert await scene.found("number3") == {"3.txt"}


async def test_what_was_left_pending_is_taken_up_although_the_listing_keeps_silent(scene: Ingestion) -> None:
    scene.collector.texts = {"a.txt": "about alpha"}
    await scene.sources.add(SOURCE)
    await scene.sources.synced("s1", cursor="c1")
    await scene.items.pend("s1", [ItemRef(uri="a.txt", validators=validators_of("about alpha"))])
    await scene.sync()
    assert await scene.found("alpha") == {"a.txt"}


async def test_what_was_left_undone_is_listed_in_full_by_a_collector_that_knows_its_cursor(scene: Ingestion) -> None:
    await scene.sources.add(SOURCE)
    await scene.sources.synced("s1", cursor="c1")
    await scene.items.pend("s1", [ItemRef(uri="a.txt")])
    cursors: list[str | None] = []

    def open_collector(source: Source) -> Collector:
        cursors.append(source.cursor)
        return scene.collector

    async with scene.holder() as holder:
        parts = replace(scene.parts(holder), collectors=Collectors(scene.sources, open_collector))
        sync = Sync(parts, report=scene.reports.append, stopped=lambda: False)
        await sync.run(await scene.sources.all(), embed=False, retry_failed=False)
    assert (cursors, scene.collector.asked) == (["c1"], [True])


async def test_a_full_disk_ends_the_sync_with_the_reason_and_the_next_one_completes(
    scene: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(source_id: str, outcomes: object) -> None:
        raise StorageError("the disk is full", code=ErrorCode.DISK_FULL)

    scene.collector.texts = dict(TEXTS)
    with monkeypatch.context() as patched:
        patched.setattr(scene.items, "record", full)
        with pytest.raises(StorageError, match="the disk is full"):
            await scene.sync()
    report = await scene.sync()
    assert report.complete
    assert await scene.ready() == TEXTS


async def test_an_index_that_was_thrown_away_is_rebuilt(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    scene.embedder = HashEmbedder()
    await scene.sync()
    await scene.store.delete(list(await scene.store.inventory()))
    report = await scene.sync()
    assert report.unchanged == 10
    assert await scene.found("number7") == {"7.txt"}
    assert all((held.chunks, held.vectors) == (1, 1) for held in (await scene.store.inventory()).values())
    assert len(scene.refined) == 10


async def test_documents_of_a_removed_source_leave_database_and_index(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    await scene.sync()
    document_ids = list(await scene.store.inventory())
    await scene.sources.remove("s1")
    scene.collector.texts = {}
    await scene.sync()
    assert await scene.store.inventory() == {}
    assert await scene.documents.load(document_ids) == []


async def test_text_is_findable_before_anything_is_embedded(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    scene.embedder = HashEmbedder()
    report = await scene.sync(embed=False)
    assert report.chunks_embedded == 0
    assert scene.embedder.asked == []
    assert await scene.found("number7") == {"7.txt"}
    report = await scene.sync()
    assert report.chunks_embedded == 10


async def test_the_stages_are_reported_in_their_order(scene: Ingestion) -> None:
    scene.collector.texts = dict(TEXTS)
    scene.embedder = HashEmbedder()
    await scene.sync()
    stages = [report.stage for report in scene.reports]
    assert {*stages} == {Stage.LISTING, Stage.INGESTING, Stage.EMBEDDING, Stage.DONE}
    assert stages.index(Stage.EMBEDDING) > max(at for at, stage in enumerate(stages) if stage is Stage.INGESTING)
    assert stages[-1] is Stage.DONE
    assert max(report.done for report in scene.reports if report.stage is Stage.INGESTING) == 10


async def begin_while_another_syncs(scene: Ingestion) -> tuple[Leases, asyncio.Task[SyncReport]]:
    """A sync that has told that it waits, and who it waits for."""
    scene.collector.texts = dict(TEXTS)
    await scene.sync()
    other = Leases(scene.database, owner="elsewhere:1:1:x")
    assert await other.acquire("source:s1")
    scene.reports.clear()
    task = asyncio.create_task(scene.sync())
    async with asyncio.timeout(DEADLINE):
        while not any(  # noqa: ASYNC110 - reports are plain calls
            report.detail == "another process is syncing /data" for report in scene.reports
        ):
            await asyncio.sleep(0.01)
    return other, task


async def test_a_sync_waits_for_the_process_that_syncs_the_source(scene: Ingestion) -> None:
    other, task = await begin_while_another_syncs(scene)
    await other.release("source:s1")
    async with asyncio.timeout(DEADLINE):
        report = await task
    assert (report.complete, report.unchanged) == (True, 10)


async def test_a_sync_that_waits_can_be_stopped(scene: Ingestion) -> None:
    _, task = await begin_while_another_syncs(scene)
    scene.stopping = True
    async with asyncio.timeout(DEADLINE):
        assert not (await task).complete

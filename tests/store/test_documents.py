import pytest

from intelforge.core.values import ItemRef, ItemState, Source, SourceKind
from intelforge.store.database import Database
from intelforge.store.documents import CHUNKS_AT_ONCE, Documents, Place, chunks_at
from intelforge.store.items import Ingested, Items, Rejected
from intelforge.store.sources import Sources
from intelforge.store.standings import Standings
from intelforge.testing.documents import make_document
from intelforge.testing.recorder import Recorder

ONE = make_document("first paragraph\n\nsecond paragraph", title="One")
TWO = make_document("another text", title="Two")


async def test_documents_are_loaded_in_the_order_asked_and_unknown_ones_left_out(
    documents: Documents, recorder: Recorder
) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    assert await documents.load([TWO.id, "unknown", ONE.id]) == [TWO, ONE]
    assert await documents.get("unknown") is None
    assert await documents.text(ONE.id) == ONE.text
    assert await documents.text("unknown") is None
    assert await documents.texts([ONE.id, "unknown"]) == {ONE.id: ("One", ONE.text)}


async def test_chunks_are_found_by_document_and_ordinal(documents: Documents, recorder: Recorder) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    found = await documents.chunks([(ONE.id, 1), (TWO.id, 0), (TWO.id, 9)])
    assert {key: ONE.text[row.start_char : row.end_char] for key, row in found.items() if key[0] == ONE.id} == {
        (ONE.id, 1): "second paragraph"
    }
    assert set(found) == {(ONE.id, 1), (TWO.id, 0)}
    assert await documents.chunks([]) == {}


async def test_more_documents_are_asked_for_than_one_statement_can_name(
    documents: Documents, recorder: Recorder
) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    ids = [ONE.id, *(f"unknown-{number}" for number in range(40_000)), TWO.id]
    assert set(await documents.chunks([(key, 0) for key in ids])) == {(ONE.id, 0), (TWO.id, 0)}
    assert set(await documents.texts(ids)) == {ONE.id, TWO.id}
    assert set(await documents.places(ids)) == {ONE.id, TWO.id}


async def test_an_id_is_matched_by_its_beginning_word_for_word(documents: Documents, recorder: Recorder) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    assert await documents.matching(ONE.id[:8], sources=["s1"]) == [ONE.id]
    assert await documents.matching("%", sources=["s1"]) == []
    assert await documents.matching("_" * 6, sources=["s1"]) == []
    assert len(await documents.matching("", sources=["s1"], limit=1)) == 1


async def test_places_tell_source_and_access_and_only_present_items(
    documents: Documents, items: Items, sources: Sources, source: Source
) -> None:
    other = await sources.add(Source(id="s2", kind=SourceKind.FOLDER, uri="/private", access=("ann", "bob")))
    for owner, uri in ((other, "z.txt"), (source, "b.txt"), (source, "a.txt")):
        await items.record(owner.id, [Ingested(ref=ItemRef(uri=uri), content_hash="h", document=ONE)])
    await items.gone(source.id, ["a.txt"])
    first, second = (await documents.places([ONE.id]))[ONE.id]
    assert (first.source_id, first.uri, first.access) == ("s1", "b.txt", ("*",))
    assert second == Place(
        document_id=ONE.id,
        source_id="s2",
        source_kind="folder",
        source_uri="/private",
        uri="z.txt",
        access=("ann", "bob"),
    )
    assert [place.uri for place in (await documents.places([ONE.id], sources=["s2"]))[ONE.id]] == ["z.txt"]
    assert await documents.places([]) == {}


async def test_an_id_is_matched_within_the_sources_that_have_or_had_the_document(
    documents: Documents, items: Items, sources: Sources
) -> None:
    private = await sources.add(Source(id="s2", kind=SourceKind.FOLDER, uri="/private", access=("ann",)))
    await items.record(private.id, [Ingested(ref=ItemRef(uri="a"), content_hash="h", document=ONE)])
    await items.record(private.id, [Ingested(ref=ItemRef(uri="a"), content_hash="i", document=TWO)])
    assert await documents.matching(ONE.id, sources=["s2", "s1"]) == [ONE.id]
    assert await documents.matching(ONE.id, sources=["s1"]) == []
    assert await documents.matching(ONE.id, sources=[]) == []
    await sources.remove(private.id)
    assert await documents.matching(ONE.id, sources=["s2"]) == []


async def test_a_document_is_found_by_the_place_of_its_item(
    documents: Documents, items: Items, sources: Sources, recorder: Recorder
) -> None:
    page = await sources.add(Source(id="s2", kind=SourceKind.WEB, uri="https://example.org/guide"))
    await items.record(page.id, [Ingested(ref=ItemRef(uri=page.uri), content_hash="h", document=TWO)])
    await recorder.put({"a/b.txt": ONE})
    assert await documents.place_of("/data/docs/a/b.txt", sources=["s1", "s2"]) == ONE.id
    assert await documents.place_of("a/b.txt", sources=["s1", "s2"]) == ONE.id
    assert await documents.place_of("https://example.org/guide", sources=["s1", "s2"]) == TWO.id
    assert await documents.place_of("a/b.txt", sources=["s2"]) is None
    assert await documents.place_of("b.txt", sources=["s1", "s2"]) is None
    await recorder.drop(["a/b.txt"])
    assert await documents.place_of("/data/docs/a/b.txt", sources=["s1", "s2"]) is None


async def test_superseded_versions_are_kept_and_not_searched(
    documents: Documents, standings: Standings, recorder: Recorder
) -> None:
    await recorder.put({"a": ONE})
    await recorder.put({"a": TWO})
    assert await documents.purge() == 0
    assert await documents.get(ONE.id) == ONE
    assert await standings.unindexed(limit=9) == [TWO.id]


async def test_documents_of_a_removed_source_are_purged_once_the_index_let_go(
    documents: Documents, standings: Standings, recorder: Recorder, sources: Sources, source: Source
) -> None:
    await recorder.put({"a": ONE})
    await standings.set_indexed({ONE.id: 0})
    await sources.remove(source.id)
    assert await documents.purge() == 0
    assert await standings.abandoned(limit=9) == [ONE.id]
    await standings.forget([ONE.id])
    assert await documents.purge() == 1
    assert await documents.get(ONE.id) is None
    assert await documents.chunks([(ONE.id, 0)]) == {}


async def test_a_document_that_another_source_has_outlives_the_first(
    documents: Documents, items: Items, recorder: Recorder, sources: Sources, source: Source
) -> None:
    other = await sources.add(Source(id="s2", kind=SourceKind.FOLDER, uri="/other"))
    await recorder.put({"a": ONE})
    await items.record(other.id, [Ingested(ref=ItemRef(uri="x"), content_hash="h", document=ONE)])
    await sources.remove(source.id)
    assert await documents.purge() == 0
    assert [place.source_id for place in (await documents.places([ONE.id]))[ONE.id]] == ["s2"]


async def test_a_failed_item_is_no_place_of_its_former_document(
    documents: Documents, items: Items, recorder: Recorder, source: Source
) -> None:
    await recorder.put({"a": ONE})
    failed = Rejected(ref=ItemRef(uri="a"), state=ItemState.FAILED, code="damaged", reason="it is damaged")
    await items.record(source.id, [failed])
    assert await documents.places([ONE.id]) == {}
    assert await documents.versions(ONE.id) == [ONE.id]


async def test_chunks_are_found_by_their_key_and_not_by_reading_all(database: Database) -> None:
    async with database.read() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("the plan is SQLite's")
        statement = chunks_at([("a", 1), ("b", 0)]).compile(
            dialect=connection.dialect, compile_kwargs={"literal_binds": True}
        )
        plan = [str(list(row)[3]) for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    assert not [step for step in plan if step.startswith("SCAN")]
    assert len([step for step in plan if "(document_id=? AND ordinal=?)" in step]) == 2


async def test_more_chunks_than_one_statement_takes_are_found(documents: Documents, recorder: Recorder) -> None:
    await recorder.put({"a": ONE})
    keys = [(ONE.id, ordinal) for ordinal in range(2 * CHUNKS_AT_ONCE + 1)]
    assert set(await documents.chunks(keys)) == {(ONE.id, chunk.ordinal) for chunk in ONE.chunks}


async def test_a_text_may_only_go_to_local_models_when_one_source_that_has_it_says_so(
    sources: Sources, documents: Documents, items: Items, recorder: Recorder
) -> None:
    both, open_, own = make_document("in both"), make_document("in the open one"), make_document("in the other")
    await recorder.put({"a": both, "b": open_})
    limited = await sources.add(Source(id="s2", kind=SourceKind.FOLDER, uri="/contracts", local_models_only=True))
    await Recorder(items, limited).put({"a": both, "c": own})
    every = [both.id, open_.id, own.id]
    assert await documents.local_only(every) == {both.id, own.id}
    await Recorder(items, limited).drop(["a"])
    assert await documents.local_only(every) == {own.id}
    await sources.limit_models("s2", local_only=False)
    assert await documents.local_only(every) == set()


async def test_what_no_source_has_any_more_goes_to_no_model_elsewhere(
    sources: Sources, source: Source, documents: Documents, recorder: Recorder
) -> None:
    gone = make_document("taken away while it is asked about")
    await recorder.put({"a": gone})
    assert await documents.local_only([gone.id]) == set()
    await sources.remove(source.id)
    assert await documents.local_only([gone.id, "purged"]) == {gone.id, "purged"}

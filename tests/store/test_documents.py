from collections.abc import Sequence

import pytest

from intelforge.core.values import Document, ItemRef, ItemState, Source, SourceKind
from intelforge.store.documents import Counts, Documents, Place, Standing
from intelforge.store.items import Ingested, Items, Rejected
from intelforge.store.sources import Sources
from intelforge.testing.documents import make_document

ONE = make_document("first paragraph\n\nsecond paragraph", title="One")
TWO = make_document("another text", title="Two")


class Recorder:
    """Puts documents on record for one source."""

    def __init__(self, items: Items, source: Source) -> None:
        self._items = items
        self._source = source

    async def put(self, documents: dict[str, Document]) -> None:
        outcomes = [Ingested(ref=ItemRef(uri=uri), content_hash=d.id, document=d) for uri, d in documents.items()]
        await self._items.record(self._source.id, outcomes)

    async def drop(self, uris: Sequence[str]) -> None:
        await self._items.gone(self._source.id, uris)


@pytest.fixture
def recorder(items: Items, source: Source) -> Recorder:
    return Recorder(items, source)


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


async def test_an_id_is_matched_by_its_beginning_word_for_word(documents: Documents, recorder: Recorder) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    assert await documents.matching(ONE.id[:8]) == [ONE.id]
    assert await documents.matching("%") == []
    assert await documents.matching("_" * 6) == []
    assert len(await documents.matching("", limit=1)) == 1


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


async def test_access_is_that_of_every_source_that_has_or_had_the_document(
    documents: Documents, items: Items, sources: Sources
) -> None:
    private = await sources.add(Source(id="s2", kind=SourceKind.FOLDER, uri="/private", access=("ann",)))
    await items.record(private.id, [Ingested(ref=ItemRef(uri="a"), content_hash="h", document=ONE)])
    await items.record(private.id, [Ingested(ref=ItemRef(uri="a"), content_hash="i", document=TWO)])
    assert await documents.access(ONE.id) == {"ann"}
    await sources.add(Source(id="other", kind=SourceKind.FOLDER, uri="/private", access=("bob",)))
    assert await documents.access(ONE.id) == {"bob"}
    await sources.remove(private.id)
    assert await documents.access(ONE.id) == set()


async def test_a_document_is_found_by_the_place_of_its_item(
    documents: Documents, items: Items, sources: Sources, recorder: Recorder
) -> None:
    page = await sources.add(Source(id="s2", kind=SourceKind.WEB, uri="https://example.org/guide"))
    await items.record(page.id, [Ingested(ref=ItemRef(uri=page.uri), content_hash="h", document=TWO)])
    await recorder.put({"a/b.txt": ONE})
    assert await documents.place_of("/data/docs/a/b.txt") == ONE.id
    assert await documents.place_of("a/b.txt") == ONE.id
    assert await documents.place_of("https://example.org/guide") == TWO.id
    assert await documents.place_of("b.txt") is None
    await recorder.drop(["a/b.txt"])
    assert await documents.place_of("/data/docs/a/b.txt") is None


async def test_counts_are_of_current_distinct_documents(documents: Documents, recorder: Recorder) -> None:
    assert await documents.counts("e") == Counts(documents=0, chunks=0, indexed=0, embedded=0)
    await recorder.put({"a": ONE, "copy": ONE, "b": TWO})
    await documents.set_indexed([ONE.id], indexed=True)
    await documents.set_embedded({ONE.id: 1}, embedder="e")
    assert await documents.embedded_up_to({ONE.id: 1}, "e") == {ONE.id}
    assert await documents.embedded_up_to({ONE.id: 0}, "e") == set()
    assert await documents.embedded_up_to({ONE.id: 0}, "another") == {ONE.id}
    assert await documents.counts("e") == Counts(documents=2, chunks=3, indexed=2, embedded=1)
    assert (await documents.counts("another")).embedded == 0
    await recorder.drop(["b"])
    assert await documents.counts("e") == Counts(documents=1, chunks=2, indexed=2, embedded=1)


async def test_what_is_current_and_not_indexed_is_found_again_until_it_is(
    documents: Documents, recorder: Recorder
) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    assert {document.id for document in await documents.unindexed(limit=9)} == {ONE.id, TWO.id}
    assert len(await documents.unindexed(limit=1)) == 1
    await documents.set_indexed([ONE.id], indexed=True)
    assert await documents.unindexed(limit=9) == [TWO]
    assert await documents.waiting([ONE.id, TWO.id]) == [TWO.id]
    assert await documents.embedded_up_to({ONE.id: 0, TWO.id: 0}, "e") == {ONE.id}
    await recorder.drop(["b"])
    assert await documents.unindexed(limit=9) == []
    assert await documents.waiting([TWO.id]) == []


async def test_an_indexed_document_no_item_has_is_abandoned(documents: Documents, recorder: Recorder) -> None:
    await recorder.put({"a": ONE, "copy": ONE})
    await documents.set_indexed([ONE.id], indexed=True)
    await recorder.drop(["a"])
    assert await documents.abandoned(limit=9) == []
    await recorder.drop(["copy"])
    assert await documents.abandoned(limit=9) == [ONE.id]


async def test_embedding_goes_on_where_it_stopped(documents: Documents, recorder: Recorder) -> None:
    await recorder.put({"a": ONE, "b": TWO})
    assert await documents.unembedded("e", limit=9) == []
    await documents.set_indexed([ONE.id, TWO.id], indexed=True)
    await documents.set_embedded({ONE.id: 1, TWO.id: 1}, embedder="e")
    assert await documents.unembedded("e", limit=9) == [(ONE.id, 1)]
    assert sorted(await documents.unembedded("another", limit=9)) == sorted([(ONE.id, 0), (TWO.id, 0)])


async def test_a_document_that_left_the_index_has_no_vectors(documents: Documents, recorder: Recorder) -> None:
    await recorder.put({"a": ONE})
    await documents.set_indexed([ONE.id], indexed=True)
    await documents.set_embedded({ONE.id: 2}, embedder="e")
    assert await documents.standings() == {ONE.id: Standing(chunks=2, vectors=2)}
    await documents.set_indexed([ONE.id], indexed=False)
    assert await documents.standings() == {}
    await documents.set_indexed([ONE.id], indexed=True)
    assert await documents.standings() == {ONE.id: Standing(chunks=2, vectors=0)}


async def test_superseded_versions_are_kept_and_not_searched(documents: Documents, recorder: Recorder) -> None:
    await recorder.put({"a": ONE})
    await recorder.put({"a": TWO})
    assert await documents.purge() == 0
    assert await documents.get(ONE.id) == ONE
    assert [document.id for document in await documents.unindexed(limit=9)] == [TWO.id]


async def test_documents_of_a_removed_source_are_purged_once_the_index_let_go(
    documents: Documents, recorder: Recorder, sources: Sources, source: Source
) -> None:
    await recorder.put({"a": ONE})
    await documents.set_indexed([ONE.id], indexed=True)
    await sources.remove(source.id)
    assert await documents.purge() == 0
    assert await documents.abandoned(limit=9) == [ONE.id]
    await documents.set_indexed([ONE.id], indexed=False)
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

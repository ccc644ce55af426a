from dataclasses import replace

from intelforge.core.values import ItemRef, Source, SourceKind
from intelforge.store.items import Ingested, Items
from intelforge.store.sources import Sources
from intelforge.testing.documents import make_document


async def test_a_source_comes_back_as_it_went_in(sources: Sources) -> None:
    source = Source(id="s9", kind=SourceKind.GIT, uri="/r", options={"branch": "main"}, access=("ann", "bob"))
    assert await sources.add(source) == source
    assert await sources.get("s9") == source
    assert await sources.get("other") is None


async def test_a_source_added_again_keeps_its_id_and_takes_options_and_access(sources: Sources, source: Source) -> None:
    await sources.synced(source.id, cursor="c1")
    again = await sources.add(replace(source, id="new", access=("ann",), options={"x": "y"}))
    assert again == replace(source, access=("ann",), options={"x": "y"}, cursor="c1")
    assert await sources.all() == [again]


async def test_one_uri_may_be_two_kinds_of_source(sources: Sources, source: Source) -> None:
    repository = await sources.add(replace(source, id="s2", kind=SourceKind.GIT))
    assert await sources.all() == [source, repository]


async def test_a_failed_listing_keeps_the_cursor_and_a_good_one_clears_the_error(
    sources: Sources, source: Source
) -> None:
    await sources.synced(source.id, cursor="c1")
    await sources.failed(source.id, "it is not there")
    [status] = await sources.statuses()
    assert (status.error, status.source.cursor) == ("it is not there", "c1")
    assert status.last_sync is not None
    assert status.last_sync.tzinfo is not None
    await sources.synced(source.id, cursor=None)
    [status] = await sources.statuses()
    assert (status.error, status.source.cursor) == ("", None)


async def test_statuses_count_the_items_of_each_source_without_those_gone(
    sources: Sources, items: Items, source: Source
) -> None:
    other = await sources.add(Source(id="s2", kind=SourceKind.FOLDER, uri="/other"))
    await items.record(
        source.id,
        [Ingested(ref=ItemRef(uri=uri), content_hash=uri, document=make_document(uri)) for uri in ("a", "b", "c")],
    )
    await items.gone(source.id, ["c"])
    await items.pend(source.id, [ItemRef(uri="d")])
    statuses = {status.source.id: status.items for status in await sources.statuses()}
    assert statuses == {source.id: {"ready": 2, "pending": 1}, other.id: {}}


async def test_removing_a_source_takes_its_items_with_it(sources: Sources, items: Items, source: Source) -> None:
    await items.record(source.id, [Ingested(ref=ItemRef(uri="a"), content_hash="h", document=make_document("x"))])
    await sources.remove(source.id)
    assert await sources.all() == []
    assert await items.counts() == {}
    await sources.add(source)
    assert await items.known(source.id) == {}


async def test_local_models_only_is_taken_back_by_its_own_name_alone(sources: Sources, source: Source) -> None:
    limited = await sources.add(replace(source, local_models_only=True))
    assert limited == replace(source, local_models_only=True)
    assert await sources.add(source) == limited
    await sources.limit_models(source.id, local_only=False)
    assert await sources.all() == [source]
    await sources.limit_models(source.id, local_only=True)
    assert await sources.get(source.id) == limited

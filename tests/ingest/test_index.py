from dataclasses import replace

from intelforge.core.values import EVERYONE, ItemRef, Source, SourceKind
from intelforge.index.protocol import Filter, Held
from intelforge.ingest.index import Repairs
from intelforge.store.items import Ingested
from intelforge.testing.documents import make_document
from intelforge.testing.embedder import HashEmbedder
from intelforge.testing.ingestion import Ingestion

ONE, TWO = make_document("about alpha\n\nabout beta"), make_document("about gamma")
SOURCE = Source(id="s1", kind=SourceKind.FOLDER, uri="/data")


async def put(scene: Ingestion) -> None:
    await scene.sources.add(SOURCE)
    outcomes = [Ingested(ref=ItemRef(uri=d.id), content_hash=d.id, document=d) for d in (ONE, TWO)]
    await scene.items.record("s1", outcomes)


async def test_a_crash_between_index_and_note_is_made_good_by_doing_it_again(scene: Ingestion) -> None:
    await put(scene)
    await scene.store.add(ONE.chunks)
    async with scene.holder() as holder:
        indexer = scene.indexer(holder)
        await indexer.index([ONE.id, TWO.id, "unknown"])
        assert await scene.store.inventory() == {ONE.id: Held(2, 0), TWO.id: Held(1, 0)}
        assert await indexer.repair() == Repairs()


async def test_following_adds_what_is_missing_and_drops_what_nobody_has(scene: Ingestion) -> None:
    await put(scene)
    async with scene.holder() as holder:
        indexer = scene.indexer(holder)
        assert await indexer.follow() == 2
        await scene.items.gone("s1", [TWO.id])
        assert await indexer.follow() == 1
        assert await scene.store.inventory() == {ONE.id: Held(2, 0)}
        assert await indexer.follow() == 0


async def test_a_document_that_is_no_longer_current_is_not_indexed(scene: Ingestion) -> None:
    await put(scene)
    await scene.items.gone("s1", [TWO.id])
    async with scene.holder() as holder:
        await scene.indexer(holder).index([ONE.id, TWO.id])
    assert set(await scene.store.inventory()) == {ONE.id}


async def test_repair_mends_every_difference_to_the_database(scene: Ingestion) -> None:
    await put(scene)
    stranger = make_document("about nobody")
    async with scene.holder() as holder:
        indexer = scene.indexer(holder)
        await indexer.follow()
        await scene.standings.set_embedded({TWO.id: 1})
        await scene.store.delete([ONE.id])
        await scene.store.add([*stranger.chunks, ONE.chunks[0]])
        repairs = await indexer.repair()
        assert (repairs, repairs.total) == (Repairs(missing=1, superfluous=1, vectors=1), 3)
        await indexer.follow()
        assert await scene.store.inventory() == {ONE.id: Held(2, 0), TWO.id: Held(1, 0)}
        assert set(await scene.standings.unembedded(limit=9, local=True)) == {(ONE.id, 0), (TWO.id, 0)}
        assert await indexer.repair() == Repairs()


async def test_a_document_that_comes_back_is_embedded_again(scene: Ingestion) -> None:
    scene.embedder = HashEmbedder()
    scene.collector.texts = {"a.txt": ONE.text}
    await scene.sync()
    scene.collector.texts = {}
    await scene.sync()
    assert await scene.store.inventory() == {}
    scene.collector.texts = {"b.txt": ONE.text}
    await scene.sync()
    assert await scene.store.inventory() == {ONE.id: Held(2, 2)}


async def test_a_change_of_access_reaches_the_index(scene: Ingestion) -> None:
    scene.collector.texts = {"a.txt": "subject alpha", "b.txt": "subject beta"}
    await scene.sync()
    ann, everyone = (Filter(any_of=(frozenset({f"principal:{name}"}),)) for name in ("ann", EVERYONE))
    assert len(await scene.store.search("subject", limit=5, where=everyone)) == 2
    await scene.sources.add(replace(SOURCE, access=("ann",)))
    async with scene.holder() as holder:
        await scene.indexer(holder).follow()
    assert await scene.store.search("subject", limit=5, where=everyone) == []
    assert len(await scene.store.search("subject", limit=5, where=ann)) == 2
    assert await scene.standings.undescribed(limit=5) == []


async def test_a_document_of_two_sources_has_the_attributes_of_both(scene: Ingestion) -> None:
    scene.collector.texts = {"a.txt": "about alpha"}
    await scene.sync()
    other = await scene.sources.add(Source(id="s2", kind=SourceKind.GIT, uri="/other", access=("ann",)))
    copy = Ingested(ref=ItemRef(uri="copy.txt"), content_hash="h", document=make_document("about alpha"))
    await scene.items.record(other.id, [copy])
    async with scene.holder() as holder:
        await scene.indexer(holder).follow()
    for label in ("principal:ann", f"principal:{EVERYONE}", "source:s1", "source:s2", "kind:git", "kind:folder"):
        assert len(await scene.store.search("alpha", limit=5, where=Filter(any_of=(frozenset({label}),)))) == 1
    await scene.items.gone("s2", ["copy.txt"])
    async with scene.holder() as holder:
        await scene.indexer(holder).follow()
    assert await scene.store.search("alpha", limit=5, where=Filter(any_of=(frozenset({"source:s2"}),))) == []
    assert len(await scene.store.search("alpha", limit=5, where=Filter(any_of=(frozenset({"source:s1"}),)))) == 1

from intelforge.core.values import ItemRef, Source, SourceKind
from intelforge.index.protocol import Held
from intelforge.ingest.index import Indexer, Repairs
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
        indexer = Indexer(scene.documents, scene.store, holder)
        await indexer.index([ONE.id, TWO.id, "unknown"])
        assert await scene.store.inventory() == {ONE.id: Held(2, 0), TWO.id: Held(1, 0)}
        assert await indexer.repair() == Repairs()


async def test_following_adds_what_is_missing_and_drops_what_nobody_has(scene: Ingestion) -> None:
    await put(scene)
    async with scene.holder() as holder:
        indexer = Indexer(scene.documents, scene.store, holder)
        assert await indexer.follow() == 2
        await scene.items.gone("s1", [TWO.id])
        assert await indexer.follow() == 1
        assert await scene.store.inventory() == {ONE.id: Held(2, 0)}
        assert await indexer.follow() == 0


async def test_a_document_that_is_no_longer_current_is_not_indexed(scene: Ingestion) -> None:
    await put(scene)
    await scene.items.gone("s1", [TWO.id])
    async with scene.holder() as holder:
        await Indexer(scene.documents, scene.store, holder).index([ONE.id, TWO.id])
    assert set(await scene.store.inventory()) == {ONE.id}


async def test_repair_mends_every_difference_to_the_database(scene: Ingestion) -> None:
    await put(scene)
    stranger = make_document("about nobody")
    async with scene.holder() as holder:
        indexer = Indexer(scene.documents, scene.store, holder)
        await indexer.follow()
        await scene.documents.set_embedded({TWO.id: 1}, embedder="hash")
        await scene.store.delete([ONE.id])
        await scene.store.add([*stranger.chunks, ONE.chunks[0]])
        repairs = await indexer.repair()
        assert (repairs, repairs.total) == (Repairs(missing=1, superfluous=1, vectors=1), 3)
        await indexer.follow()
        assert await scene.store.inventory() == {ONE.id: Held(2, 0), TWO.id: Held(1, 0)}
        assert set(await scene.documents.unembedded("hash", limit=9)) == {(ONE.id, 0), (TWO.id, 0)}
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

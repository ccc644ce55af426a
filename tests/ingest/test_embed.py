import asyncio

import numpy as np
import pytest

from intelforge.core.reports import Progress, Stage
from intelforge.core.values import Source, SourceKind
from intelforge.index.center import load_center
from intelforge.index.memory import MemoryStore
from intelforge.index.protocol import Held
from intelforge.ingest import embed as module
from intelforge.ingest.embed import RATE_FACT
from intelforge.store.leases import Leases
from intelforge.store.standings import Standings
from intelforge.testing.documents import make_document
from intelforge.testing.embedder import HashEmbedder
from intelforge.testing.ingestion import Ingestion
from intelforge.testing.recorder import Recorder

LONG = "\n\n".join(f"paragraph number{n}" for n in range(10))
SHORT = "only one"


@pytest.fixture
async def embedder(scene: Ingestion, monkeypatch: pytest.MonkeyPatch) -> HashEmbedder:
    """The embedder of a scene with eleven chunks, of which four are embedded at a time."""
    monkeypatch.setattr(module, "WINDOW", 4)
    scene.collector.texts = {"long.txt": LONG, "short.txt": SHORT}
    embedder = scene.embedder = HashEmbedder()
    await scene.sync(embed=False)
    return embedder


async def test_every_chunk_is_embedded_once_and_the_rate_is_kept(scene: Ingestion, embedder: HashEmbedder) -> None:
    report = await scene.sync()
    assert report.chunks_embedded == 11
    assert sorted(embedder.asked) == sorted([*LONG.split("\n\n"), SHORT])
    assert float(await scene.facts.get(RATE_FACT) or 0) > 0
    told = [one for one in scene.reports if one.stage is Stage.EMBEDDING and one.total]
    assert (told[-1].done, told[-1].total, told[-1].eta, told[-1].unit) == (11, 11, 0.0, "chunks")
    assert (await scene.sync()).chunks_embedded == 0


async def test_embedding_that_was_stopped_goes_on_at_the_next_chunk(scene: Ingestion, embedder: HashEmbedder) -> None:
    async with scene.holder() as holder:
        embedding = scene.embedding(holder)
        assert embedding
        told: list[Progress] = []
        assert await embedding.run(report=told.append, stopped=lambda: bool(told)) == 4
    assert (await scene.standings.counts()).embedded == 4
    assert (await scene.sync()).chunks_embedded == 7
    assert len(embedder.asked) == 11


async def test_vectors_another_store_has_are_taken_from_there(scene: Ingestion, embedder: HashEmbedder) -> None:
    await scene.sync()
    donor, made = scene.store, len(embedder.asked)
    await donor.delete([make_document(SHORT).id])
    scene.store, scene.standings = MemoryStore(), Standings(scene.database, 2)
    async with scene.holder() as holder:
        await scene.indexer(holder).follow()
        embedding = scene.embedding(holder, donor=donor)
        assert embedding
        assert await embedding.run(report=scene.reports.append, stopped=lambda: False) == 11
    assert embedder.asked[made:] == [SHORT]
    chunk_ids = [chunk.id for chunk in make_document(LONG).chunks]
    before, after = await donor.vectors(chunk_ids), await scene.store.vectors(chunk_ids)
    assert all(np.array_equal(before[key], after[key]) for key in chunk_ids)


async def test_a_document_that_left_the_index_meanwhile_gets_no_vectors(
    scene: Ingestion, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = make_document(SHORT).id
    embed = embedder.embed

    async def embed_while_it_goes(texts: list[str]) -> object:
        await scene.items.gone("s1", ["short.txt"])
        await scene.store.delete([gone])
        await scene.standings.forget([gone])
        return await embed(texts)

    monkeypatch.setattr(embedder, "embed", embed_while_it_goes)
    await scene.sync()
    assert await scene.store.inventory() == {make_document(LONG).id: Held(10, 10)}


async def test_embedding_that_waits_for_another_process_can_be_stopped(
    scene: Ingestion, embedder: HashEmbedder
) -> None:
    assert await Leases(scene.database, owner="elsewhere:1:1:x").acquire(module.LEASE)
    async with scene.holder() as holder, asyncio.timeout(20):
        embedding = scene.embedding(holder)
        assert embedding
        assert await embedding.run(report=scene.reports.append, stopped=lambda: True) == 0
    assert embedder.asked == []


async def test_vectors_of_a_document_whose_progress_was_set_back_meanwhile_are_not_counted(
    scene: Ingestion, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = make_document(LONG).id
    embed, calls = embedder.embed, 0

    async def embed_while_it_is_repaired(texts: list[str]) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            await scene.store.delete([long])
            await scene.store.add(make_document(LONG).chunks)
            await scene.standings.set_embedded({long: 0})
        return await embed(texts)

    monkeypatch.setattr(embedder, "embed", embed_while_it_is_repaired)
    await scene.sync()
    assert (await scene.store.inventory())[long] == Held(10, 10)
    assert (await scene.standings.counts()).embedded == 11


async def test_the_centre_of_all_vectors_is_on_record(scene: Ingestion, embedder: HashEmbedder) -> None:
    await scene.sync()
    center = await load_center(scene.facts, embedder.name)
    vectors = await HashEmbedder().embed([*LONG.split("\n\n"), SHORT])
    assert center
    assert center.number == 11
    assert np.allclose(center.mean, vectors.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("local", [True, False])
async def test_an_embedder_elsewhere_is_not_given_what_may_only_go_to_local_models(
    scene: Ingestion, embedder: HashEmbedder, local: bool
) -> None:
    contracts = Source(id="s2", kind=SourceKind.FOLDER, uri="/contracts", local_models_only=True)
    secret, embedder.local = make_document("the sum is secret"), local
    await scene.sources.add(contracts)
    await Recorder(scene.items, contracts).put({"contract.txt": secret})
    async with scene.holder() as holder:
        await scene.indexer(holder).follow()
        embedding = scene.embedding(holder)
        assert embedding
        assert await embedding.run(report=scene.reports.append, stopped=lambda: False) == (12 if local else 11)
        assert await embedding.left() == 0
    assert (secret.text in embedder.asked) is local
    done = scene.reports[-1]
    assert (done.done, done.total) == ((12, 12) if local else (11, 11))


async def test_what_is_limited_while_others_are_embedded_is_not_given_any_more(
    scene: Ingestion, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder.local = False
    embed = embedder.embed

    async def embed_while_it_is_limited(texts: list[str]) -> object:
        await scene.sources.limit_models("s1", local_only=True)
        return await embed(texts)

    monkeypatch.setattr(embedder, "embed", embed_while_it_is_limited)
    async with scene.holder() as holder:
        embedding = scene.embedding(holder)
        assert embedding
        assert await embedding.run(report=scene.reports.append, stopped=lambda: False) == len(embedder.asked) == 4

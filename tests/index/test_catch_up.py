import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from intelforge.core.errors import ModelError, StorageError
from intelforge.core.values import ItemRef, Source, SourceKind
from intelforge.index.catch_up import CatchUp, TimeLeft, texts_of
from intelforge.index.hits import Retriever, Scope
from intelforge.index.memory import MemoryStore
from intelforge.index.protocol import Scored, TextKind, Vectors
from intelforge.store.database import Database, open_database
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.items import Ingested, Items
from intelforge.store.sources import Sources
from intelforge.store.standings import Standings
from intelforge.testing.documents import make_document

SOURCE = Source(id="s1", kind=SourceKind.FOLDER, uri="/files/")
QUERY = "how long carrot soup boils"
TEXTS = {
    "song.txt": "the carrot soup boils, sang they",
    "recipe.txt": "Carrot soup boils for twenty minutes in salted water",
    "poem.txt": "carrot soup boils in the cold winter night",
}


class Recipes:
    """Places what tells of minutes next to any query, and all else across."""

    name = "recipes"
    dimensions = 2
    tokenizer = None
    at_once = 4
    local = True

    def __init__(self, *, calls: int = 1000) -> None:
        """After so many calls for documents it hangs."""
        self.calls = calls
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        if kind is TextKind.QUERY:
            return np.array([[1, 0]], np.float32)
        if len(self.asked) >= self.calls:
            await asyncio.Event().wait()
        self.asked += texts
        return np.array([[0.8, 0.6] if "minutes" in text else [0, 1] for text in texts], np.float32)


class Broken(Recipes):
    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        if kind is TextKind.DOCUMENT:
            raise ModelError("the weights are damaged")
        return await super().embed(texts, kind=kind)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database("sqlite:///test.db", root=tmp_path)
    await Sources(opened).add(SOURCE)
    yield opened
    await opened.close()


@pytest.fixture
async def store(database: Database) -> MemoryStore:
    """It has the texts, and no vectors."""
    documents = {uri: make_document(text, title=uri) for uri, text in TEXTS.items()}
    await Items(database).record(
        SOURCE.id, [Ingested(ref=ItemRef(uri=uri), content_hash=uri, document=d) for uri, d in documents.items()]
    )
    about = await Documents(database).attributes([document.id for document in documents.values()])
    store = MemoryStore()
    await store.add([chunk for document in documents.values() for chunk in document.chunks], about)
    return store


async def found(database: Database, store: MemoryStore, embedder: Recipes, *, seconds: float = 60.0) -> list[str]:
    retriever = Retriever(Documents(database), Standings(database, 1), Facts(database), store, embedder)
    return [hit.uri for hit in (await retriever.search(QUERY, limit=3, scope=Scope(), rerank_seconds=seconds)).hits]


async def test_what_has_no_vector_yet_is_found_by_meaning_too(database: Database, store: MemoryStore) -> None:
    assert (await found(database, store, Recipes(), seconds=0))[0] == "song.txt"
    embedder = Recipes()
    assert (await found(database, store, embedder))[0] == "recipe.txt"
    assert len(embedder.asked) == 3


async def test_without_time_or_without_need_nothing_is_embedded(database: Database, store: MemoryStore) -> None:
    hurried = Recipes()
    await found(database, store, hurried, seconds=0)
    assert hurried.asked == []
    standings = Standings(database, 1)
    ids = await standings.unindexed(limit=9)
    await standings.set_indexed(dict.fromkeys(ids, 1))
    await standings.set_embedded(dict.fromkeys(ids, 1))
    complete = Recipes()
    await found(database, store, complete)
    assert complete.asked == []


async def test_what_the_store_has_is_not_embedded_again(database: Database, store: MemoryStore) -> None:
    documents = Documents(database)
    ids = [f"{document_id}:0" for document_id in await Standings(database, 1).unindexed(limit=9)]
    await store.add_vectors(ids[:2], np.array([[0, 1], [0, 1]], np.float32))
    embedder = Recipes()
    await found(database, store, embedder)
    assert embedder.asked == list((await texts_of(documents, ids[2:])).values())


async def test_what_was_embedded_before_the_time_was_up_counts(database: Database, store: MemoryStore) -> None:
    embedder = Recipes(calls=1)
    assert sorted(await found(database, store, embedder, seconds=0.2)) == sorted(TEXTS)
    assert len(embedder.asked) == 1


async def test_an_embedder_that_fails_leaves_the_order_of_the_words(database: Database, store: MemoryStore) -> None:
    assert await found(database, store, Broken()) == await found(database, store, Recipes(), seconds=0)


async def test_a_store_that_gives_no_vectors_leaves_the_order_of_the_words_and_a_note(
    database: Database, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = await found(database, store, Recipes(), seconds=0)

    async def away(chunk_ids: object) -> None:
        raise StorageError("the store is away")

    monkeypatch.setattr(store, "vectors", away)
    assert await found(database, store, Recipes()) == words
    retriever = Retriever(Documents(database), Standings(database, 1), Facts(database), store, Recipes())
    result = await retriever.search(QUERY, limit=3, scope=Scope(), rerank_seconds=60)
    assert any("the store is away" in note for note in result.notes)


async def test_the_vector_part_stays_as_deep_as_it_was(database: Database, store: MemoryStore) -> None:
    documents = Documents(database)
    ids = [f"{document_id}:0" for document_id in await Standings(database, 1).unindexed(limit=9)]
    catch_up = CatchUp(
        documents=documents,
        store=store,
        embedder=Recipes(),
        center=None,
        embedded=0.25,
        time_left=TimeLeft(seconds=60),
    )
    lexical = [Scored(chunk_id, chunk_id.partition(":")[0], 1.0) for chunk_id in ids]
    vector = [Scored(f"v{n}:0", f"v{n}", 0.5 - n / 10) for n in range(3)]
    both, embedded = await catch_up(QUERY, lexical, vector, depth=3)
    assert [hit.score for hit in both] == pytest.approx([0.8, 0.5, 0.4])
    assert embedded == 1.0
    assert await catch_up(QUERY, [], vector, depth=3) == (vector, 0.25)


async def test_chunks_that_are_gone_have_no_text(database: Database, store: MemoryStore) -> None:
    assert await texts_of(Documents(database), ["nowhere:0"]) == {}


def test_time_is_counted_while_it_is_spent() -> None:
    clock = count()
    left = TimeLeft(seconds=2.5, now=lambda: float(next(clock)))
    for expected in (1.5, 0.5, 0.0):
        with left.spending():
            pass
        assert left.seconds == expected


async def test_an_embedder_elsewhere_is_not_given_what_may_only_go_to_local_models(
    database: Database, store: MemoryStore
) -> None:
    limited = Source(id="s2", kind=SourceKind.FOLDER, uri="/contracts/", local_models_only=True)
    await Sources(database).add(limited)
    recipe = make_document(TEXTS["recipe.txt"], title="recipe.txt")
    await Items(database).record("s2", [Ingested(ref=ItemRef(uri="copy"), content_hash="h", document=recipe)])
    away = Recipes()
    away.local = False
    assert (await found(database, store, away))[0] == "song.txt"
    assert len(away.asked) == 2
    assert not any("minutes" in text for text in away.asked)
    here = Recipes()
    assert (await found(database, store, here))[0] == "recipe.txt"

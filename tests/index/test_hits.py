from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from intelforge.core.errors import ModelError
from intelforge.core.values import ItemRef, Source, SourceKind
from intelforge.index.hits import Retriever, Scope
from intelforge.index.memory import MemoryStore
from intelforge.index.rerank import Scores
from intelforge.store.database import Database, open_database
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.items import Ingested, Items
from intelforge.store.sources import Sources
from intelforge.testing.documents import make_document

OPEN = Source(id="s1", kind=SourceKind.FOLDER, uri="/open/")
PRIVATE = Source(id="s2", kind=SourceKind.GIT, uri="/private", access=("ann",))
PAGE = Source(id="s3", kind=SourceKind.WEB, uri="https://example.org/guide")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database("sqlite:///test.db", root=tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def retriever(database: Database, store: MemoryStore) -> Retriever:
    return Retriever(Documents(database), Facts(database), store, None)


async def put(database: Database, store: MemoryStore, source: Source, texts: dict[str, str]) -> None:
    await Sources(database).add(source)
    documents = {uri: make_document(text, title=uri) for uri, text in texts.items()}
    outcomes = [Ingested(ref=ItemRef(uri=uri), content_hash=uri, document=d) for uri, d in documents.items()]
    await Items(database).record(source.id, outcomes)
    about = await Documents(database).attributes([document.id for document in documents.values()])
    await store.add([chunk for document in documents.values() for chunk in document.chunks], about)


async def test_a_hit_tells_place_lines_and_duplicates(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    text = "first part\n\nthe needle\nis here\n\nlast part"
    await put(database, store, OPEN, {"a.txt": text})
    await put(database, store, PAGE, {PAGE.uri: text})
    [hit] = await retriever.search("needle", limit=5, scope=Scope())
    assert hit.chunk.text == "the needle\nis here"
    assert (hit.first_line, hit.last_line) == (3, 4)
    assert (hit.location, hit.duplicates) == ("/open/a.txt", ("https://example.org/guide",))
    assert (hit.source_id, hit.uri, hit.title) == ("s1", "a.txt", "a.txt")


async def test_one_file_of_two_sources_is_one_place(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "the needle"})
    await put(database, store, Source(id="s4", kind=SourceKind.FILE, uri="/open/a.txt"), {"a.txt": "the needle"})
    [hit] = await retriever.search("needle", limit=5, scope=Scope())
    assert (hit.location, hit.duplicates) == ("/open/a.txt", ())


async def test_what_the_database_does_not_hold_as_current_is_left_out(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "old needle", "b.txt": "present needle"})
    await store.add(make_document("unknown needle").chunks)
    await Items(database).gone("s1", ["a.txt"])
    assert [hit.chunk.text for hit in await retriever.search("needle", limit=5, scope=Scope())] == ["present needle"]


async def test_what_the_index_knows_too_late_is_withheld_all_the_same(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "one needle"})
    await Sources(database).add(replace(OPEN, access=("ann",)))
    assert await retriever.search("needle", limit=5, scope=Scope()) == []


async def test_hits_of_a_small_source_are_found_among_very_many(database: Database, store: MemoryStore) -> None:
    retriever = Retriever(Documents(database), Facts(database), store, None)
    await put(database, store, OPEN, {f"{n}.txt": f"needle needle {n}" for n in range(2500)})
    await put(database, store, PAGE, {PAGE.uri: "a needle in a long text about quite other things, at the very end"})
    assert [hit.uri for hit in await retriever.search("needle", limit=3, scope=Scope(sources=("s3",)))] == [PAGE.uri]


async def test_many_hits_nobody_may_see_do_not_hide_the_few_one_may(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, PRIVATE, {f"{n}.txt": f"needle needle needle {n}" for n in range(60)})
    await put(database, store, OPEN, {"a.txt": "one needle in a much longer text about quite other things"})
    assert [hit.uri for hit in await retriever.search("needle", limit=3, scope=Scope())] == ["a.txt"]
    ann = await retriever.search("needle", limit=3, scope=Scope(principals=("ann",)))
    assert {hit.source_id for hit in ann} == {"s2"}
    alone = await retriever.search("needle", limit=3, scope=Scope(principals=("ann",), sources=("s1",)))
    assert [hit.uri for hit in alone] == ["a.txt"]


async def test_a_closer_look_changes_the_order_and_its_failure_does_not(database: Database, store: MemoryStore) -> None:
    class Contrary:
        """Likes best what the search likes least."""

        name = "contrary"
        broken = False

        async def score(self, query: str, texts: Sequence[str]) -> Scores:
            if self.broken:
                raise ModelError("the weights are damaged")
            return np.array([text.count("hay") for text in texts], np.float32)

    contrary = Contrary()
    retriever = Retriever(Documents(database), Facts(database), store, None, reranker=contrary)
    await put(database, store, OPEN, {"a.txt": "needle needle", "b.txt": "needle hay hay", "c.txt": "needle hay more"})
    plain = [hit.uri for hit in await retriever.search("needle", limit=3, scope=Scope())]
    looked = await retriever.search("needle", limit=2, scope=Scope(), rerank_seconds=1)
    assert plain[0] == "a.txt"
    assert looked[0].uri == "b.txt"
    assert len(looked) == 2
    assert looked[0].scores["rerank"] == 2
    contrary.broken = True
    again = await retriever.search("needle", limit=3, scope=Scope(), rerank_seconds=1)
    assert [hit.uri for hit in again] == plain

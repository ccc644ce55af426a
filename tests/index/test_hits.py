import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from intelforge.core.errors import ModelError
from intelforge.core.values import ItemRef, Source, SourceKind
from intelforge.index import hits
from intelforge.index.cursor import Page, read_cursor
from intelforge.index.hits import MANY, Retriever, Scope
from intelforge.index.like import Seed
from intelforge.index.memory import MemoryStore
from intelforge.index.options import Options
from intelforge.index.priors import Priors
from intelforge.index.rerank import Scores
from intelforge.store.database import Database, open_database
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.items import Ingested, Items
from intelforge.store.sources import Sources
from intelforge.store.standings import Standings
from intelforge.testing.documents import make_document
from intelforge.testing.embedder import HashEmbedder

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
    return Retriever(Documents(database), Standings(database, 1), Facts(database), store, None)


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
    [hit] = (await retriever.search("needle", limit=5, scope=Scope())).hits
    assert hit.chunk.text == "the needle\nis here"
    assert (hit.first_line, hit.last_line) == (3, 4)
    assert (hit.location, hit.duplicates) == ("/open/a.txt", ("https://example.org/guide",))
    assert (hit.source_id, hit.uri, hit.title) == ("s1", "a.txt", "a.txt")


async def test_one_file_of_two_sources_is_one_place(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "the needle"})
    await put(database, store, Source(id="s4", kind=SourceKind.FILE, uri="/open/a.txt"), {"a.txt": "the needle"})
    [hit] = (await retriever.search("needle", limit=5, scope=Scope())).hits
    assert (hit.location, hit.duplicates) == ("/open/a.txt", ())


async def test_what_the_database_does_not_hold_as_current_is_left_out(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "old needle", "b.txt": "present needle"})
    await store.add(make_document("unknown needle").chunks)
    await Items(database).gone("s1", ["a.txt"])
    assert [hit.chunk.text for hit in (await retriever.search("needle", limit=5, scope=Scope())).hits] == [
        "present needle"
    ]


async def test_what_the_index_knows_too_late_is_withheld_all_the_same(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "one needle"})
    await Sources(database).add(replace(OPEN, access=("ann",)))
    assert (await retriever.search("needle", limit=5, scope=Scope())).hits == ()


async def test_hits_of_a_small_source_are_found_among_very_many(database: Database, store: MemoryStore) -> None:
    retriever = Retriever(Documents(database), Standings(database, 1), Facts(database), store, None)
    await put(database, store, OPEN, {f"{n}.txt": f"needle needle {n}" for n in range(2500)})
    await put(database, store, PAGE, {PAGE.uri: "a needle in a long text about quite other things, at the very end"})
    assert [hit.uri for hit in (await retriever.search("needle", limit=3, scope=Scope(sources=("s3",)))).hits] == [
        PAGE.uri
    ]


async def test_many_hits_nobody_may_see_do_not_hide_the_few_one_may(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, PRIVATE, {f"{n}.txt": f"needle needle needle {n}" for n in range(60)})
    await put(database, store, OPEN, {"a.txt": "one needle in a much longer text about quite other things"})
    assert [hit.uri for hit in (await retriever.search("needle", limit=3, scope=Scope())).hits] == ["a.txt"]
    ann = (await retriever.search("needle", limit=3, scope=Scope(principals=("ann",)))).hits
    assert {hit.source_id for hit in ann} == {"s2"}
    alone = (await retriever.search("needle", limit=3, scope=Scope(principals=("ann",), sources=("s1",)))).hits
    assert [hit.uri for hit in alone] == ["a.txt"]


async def test_a_closer_look_changes_the_order_and_its_failure_does_not(database: Database, store: MemoryStore) -> None:
    class Contrary:
        """Likes best what the search likes least."""

        name = "contrary"
        at_once = 8
        remote = False
        broken = False
        here = True

        async def local(self) -> bool:
            return self.here

        async def score(self, query: str, texts: Sequence[str]) -> Scores:
            if self.broken:
                raise ModelError("the weights are damaged")
            return np.array([text.count("hay") for text in texts], np.float32)

    contrary = Contrary()
    retriever = Retriever(Documents(database), Standings(database, 1), Facts(database), store, None, reranker=contrary)
    await put(database, store, OPEN, {"a.txt": "needle needle", "b.txt": "needle hay hay", "c.txt": "needle hay more"})
    plain = [hit.uri for hit in (await retriever.search("needle", limit=3, scope=Scope())).hits]
    looked = (await retriever.search("needle", limit=2, scope=Scope(), rerank_seconds=1)).hits
    assert plain[0] == "a.txt"
    assert looked[0].uri == "b.txt"
    assert len(looked) == 2
    assert looked[0].scores["rerank"] == 2
    contrary.broken = True
    again = (await retriever.search("needle", limit=3, scope=Scope(), rerank_seconds=1)).hits
    assert [hit.uri for hit in again] == plain


async def test_a_reranker_elsewhere_is_not_given_what_may_only_go_to_local_models(
    database: Database, store: MemoryStore
) -> None:
    class Asked:
        name = "asked"
        at_once = 8
        remote = True
        here = False
        texts: list[str]

        async def local(self) -> bool:
            return self.here

        async def score(self, query: str, texts: Sequence[str]) -> Scores:
            self.texts = list(texts)
            return np.arange(len(texts), dtype=np.float32)

    asked = Asked()
    retriever = Retriever(Documents(database), Standings(database, 1), Facts(database), store, None, reranker=asked)
    await put(database, store, OPEN, {"a.txt": "needle one"})
    await put(database, store, replace(PAGE, local_models_only=True), {PAGE.uri: "needle two"})
    result = await retriever.search("needle", limit=3, scope=Scope(), rerank_seconds=9)
    assert asked.texts == ["needle one"]
    assert {hit.uri for hit in result.hits} == {"a.txt", PAGE.uri}
    assert "asked is not on this machine: it did not look at what may only go to local models" in result.notes
    asked.here = True
    result = await retriever.search("needle", limit=3, scope=Scope(), rerank_seconds=9)
    assert sorted(asked.texts) == ["needle one", "needle two"]
    assert not any("local models" in note for note in result.notes)


async def test_what_any_search_should_know_is_noted(database: Database, store: MemoryStore) -> None:
    await put(database, store, OPEN, {"a.txt": "one needle"})
    standings = Standings(database, 1)
    result = await Retriever(Documents(database), standings, Facts(database), store, HashEmbedder()).search(
        "needle", limit=3, scope=Scope()
    )
    assert result.notes == (
        "some chunks are not in the index yet; run: intelforge sync",
        "not all chunks are embedded yet; the ranking improves as more are",
    )


async def test_a_search_tells_what_matched_how_it_was_made_and_how_long_it_took(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "the needle", "b.txt": "a needle and needles"})
    plain = await retriever.search("needle", limit=3, scope=Scope())
    assert [hit.explanation for hit in plain.hits] == [(), ()]
    result = await retriever.search("needle", limit=3, scope=Scope(), options=Options(explain=True))
    for hit in result.hits:
        assert sum(part.scaled * part.weight for part in hit.explanation) == pytest.approx(hit.score)
        assert {hit.chunk.text[slice(*span)] for span in hit.highlights} <= {"needle", "needles"}
    assert set(result.seconds) == {"counts", "words", "meaning", "hits"}
    assert result.plan
    assert (result.plan.query, result.plan.where) == ("needle", "principal:*")
    assert result.plan.candidates == {"lexical": 2, "vector": 0}


async def test_facets_count_the_documents_the_caller_may_see(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {f"{n}.txt": f"needle {n}" for n in range(120)})
    await put(database, store, PRIVATE, {"secret.txt": "needle needle secret", "0.txt": "needle 0"})

    async def facets(scope: Scope, query: str = "needle") -> Mapping[str, Mapping[str, int]]:
        return (await retriever.search(query, limit=3, scope=scope, options=Options(facets=True))).facets

    everyone = {"source": {OPEN.uri: 120}, "kind": {"folder": 120}, "type": {"text/plain": 120}}
    assert await facets(Scope()) == everyone
    assert (await facets(Scope(principals=("ann",))))["source"] == {OPEN.uri: 120, PRIVATE.uri: 2}
    assert (await facets(Scope(excluded=("7",))))["kind"] == {"folder": 119}
    assert (await facets(Scope(sources=("s2",), principals=("ann",))))["kind"] == {"git": 2}
    assert await facets(Scope(), "elsewhere") == {}


async def test_pages_show_every_hit_once_although_documents_come_and_go(database: Database, store: MemoryStore) -> None:
    """Whatever is written between pages: no hit twice, and nothing that was there all the time is left out."""
    retriever = Retriever(Documents(database), Standings(database, 1), Facts(database), store, HashEmbedder())
    random = Random(11)
    texts = {
        f"{n}.txt": f"needle {'needle ' * random.randrange(4)}{'hay ' * random.randrange(9)}{n}" for n in range(150)
    }
    await put(database, store, OPEN, texts)
    embedder = HashEmbedder()
    some = [make_document(text).chunks[0] for text in list(texts.values())[::2]]
    await store.add_vectors([chunk.id for chunk in some], await embedder.embed([chunk.text for chunk in some]))
    stays, shown = set(texts), list[str]()
    page, number = Page.first("needle", at=0), 1000
    while True:
        result = await retriever.search(
            "needle hay", limit=random.randint(1, 9), scope=Scope(), options=Options(page=page)
        )
        assert result.offset == len(shown)
        shown += [hit.uri for hit in result.hits]
        if not result.cursor:
            break
        page = read_cursor(result.cursor, "needle")
        fresh = {
            f"{number + n}.txt": f"needle {'needle ' * random.randrange(9)}{number + n}"
            for n in range(random.randrange(4))
        }
        number += len(fresh)
        if fresh:
            await put(database, store, OPEN, fresh)
        gone = random.sample(sorted(stays), random.randrange(3))
        stays -= set(gone)
        await Items(database).gone("s1", gone)
        await store.delete([make_document(texts[uri]).id for uri in gone])
    assert len(shown) == len(set(shown))
    assert stays <= set(shown)


async def test_the_last_page_has_no_cursor(database: Database, store: MemoryStore, retriever: Retriever) -> None:
    await put(database, store, OPEN, {f"{n}.txt": f"needle {n}" for n in range(6)})
    first = await retriever.search("needle", limit=3, scope=Scope(), options=Options(page=Page.first("q", at=0)))
    assert first.cursor
    page = read_cursor(first.cursor, "q")
    second = await retriever.search("needle", limit=3, scope=Scope(), options=Options(page=page))
    assert (len(second.hits), second.offset, second.cursor) == (3, 3, "")
    assert not (await retriever.search("needle", limit=3, scope=Scope())).cursor


async def test_a_word_no_text_has_gives_way_to_the_nearest_one(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "cancel the timeout", "b.txt": "timer"})
    result = await retriever.search("cancel timeuot", limit=3, scope=Scope(), options=Options(respell=True))
    assert [hit.uri for hit in result.hits] == ["a.txt"]
    assert result.corrected == "cancel timeout"
    assert "'timeout' instead of 'timeuot'" in result.notes[0]
    assert "spelling" in result.seconds
    quoted = await retriever.search('cancel "timeuot"', limit=3, scope=Scope(), options=Options(respell=True))
    assert (quoted.corrected, quoted.notes) == ("", result.notes[1:])


async def test_a_correction_never_tells_a_word_of_what_the_caller_may_not_see(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    await put(database, store, OPEN, {"a.txt": "cancel it"})
    await put(database, store, PRIVATE, {"b.txt": "the merger"})
    searched = [
        await retriever.search(word, limit=3, scope=Scope(), options=Options(respell=True))
        for word in ("mergre", "merger")
    ]
    assert [(result.corrected, result.hits) for result in searched] == [("", ()), ("", ())]
    ann = await retriever.search("mergre", limit=3, scope=Scope(principals=("ann",)), options=Options(respell=True))
    assert ann.corrected == "merger"
    await Sources(database).add(replace(OPEN, access=("ann",)))  # which the index does not know yet
    late = await retriever.search("cancle", limit=3, scope=Scope(), options=Options(respell=True))
    assert (late.corrected, late.hits) == ("", ())


@pytest.mark.parametrize("vectors", [True, False])
async def test_more_like_a_document_leaves_it_out_and_names_each_other_once(
    database: Database, store: MemoryStore, retriever: Retriever, *, vectors: bool
) -> None:
    texts = {
        "seed.txt": "boil carrots in water\n\ncarrots and salt",
        "near.txt": "carrots boil slowly in water\n\nmore carrots in salt water",
        "far.txt": "the parliament of owls met at night",
    }
    await put(database, store, OPEN, texts)
    await put(database, store, PRIVATE, {"hidden.txt": "boil carrots in salt water"})
    documents = {uri: make_document(text) for uri, text in texts.items()}
    if vectors:
        for uri, document in documents.items():
            angle = {"seed.txt": 0.0, "near.txt": 0.3, "far.txt": 1.5}[uri]
            rows = np.array([[np.cos(angle), np.sin(angle)]] * len(document.chunks), np.float32)
            await store.add_vectors([chunk.id for chunk in document.chunks], rows)
    seed = documents["seed.txt"]
    like = Seed(document_id=seed.id, chunk_ids=[chunk.id for chunk in seed.chunks], text=seed.text)
    result = await retriever.search("", limit=5, scope=Scope(), options=Options(like=like))
    assert [hit.uri for hit in result.hits] == ["near.txt", "far.txt"][: 2 if vectors else 1]


@pytest.mark.parametrize("vectors", [True, False])
async def test_more_like_a_document_of_more_chunks_than_candidates(
    database: Database, store: MemoryStore, retriever: Retriever, monkeypatch: pytest.MonkeyPatch, *, vectors: bool
) -> None:
    monkeypatch.setattr("intelforge.index.hits.MOST", 5)
    texts = {"seed.txt": "\n\n".join(["boil carrots"] * 30), "near.txt": "boil carrots slowly in water"}
    await put(database, store, OPEN, texts)
    seed, near = (make_document(text) for text in texts.values())
    if vectors:
        for document, angle in ((seed, 0.0), (near, 0.3)):
            rows = np.array([[np.cos(angle), np.sin(angle)]] * len(document.chunks), np.float32)
            await store.add_vectors([chunk.id for chunk in document.chunks], rows)
    like = Seed(document_id=seed.id, chunk_ids=[chunk.id for chunk in seed.chunks], text=seed.text)
    result = await retriever.search("", limit=2, scope=Scope(), options=Options(like=like))
    assert [hit.uri for hit in result.hits] == ["near.txt"]
    await store.delete([near.id])
    alone = await retriever.search("", limit=2, scope=Scope(), options=Options(like=like))
    assert not alone.hits
    assert "nothing but the document's own chunks" in " ".join(alone.notes)


async def test_diversity_and_priors_change_the_order(
    database: Database, store: MemoryStore, retriever: Retriever
) -> None:
    texts = {
        "a.txt": "needle needle one two three",
        "copy.txt": "needle needle, one two three",
        "c.txt": "needle needle four five six seven",
        "d.txt": "a needle in a long text of hay " + "and hay " * 30,
    }
    await put(database, store, OPEN, texts)
    plain = [hit.uri for hit in (await retriever.search("needle", limit=3, scope=Scope())).hits]
    diverse = await retriever.search("needle", limit=2, scope=Scope(), options=Options(diverse=True, explain=True))
    assert "c.txt" not in plain[:2]
    assert [hit.uri for hit in diverse.hits] == [plain[0], "c.txt"]
    assert [part.part for part in diverse.hits[1].explanation] == ["lexical", "vector", "likeness"]
    priors = Priors(half_life_days=1, quality_weight=0.5, at=datetime.now(UTC).timestamp())
    told = await retriever.search("needle", limit=3, scope=Scope(), options=Options(priors=priors, explain=True))
    for hit in told.hits:
        assert [part.part for part in hit.explanation] == ["lexical", "vector", "recency", "quality"]
        assert sum(part.scaled * part.weight for part in hit.explanation) == pytest.approx(hit.score)


async def test_many_hits_are_compared_and_highlighted_beside_the_event_loop(
    database: Database, store: MemoryStore, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database, store, OPEN, {f"{n}.txt": f"the needle {n}" for n in range(MANY + 1)})
    threads: set[tuple[str, bool]] = set()

    def seen(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any, **options: Any) -> Any:
            threads.add((name, threading.current_thread() is threading.main_thread()))
            return work(*given, **options)

        return watched

    for name in ("diversify", "highlights"):
        monkeypatch.setattr(hits, name, seen(name, getattr(hits, name)))
    for limit, beside in ((MANY + 1, False), (3, True)):
        threads.clear()
        result = await retriever.search("needle", limit=limit, scope=Scope())
        assert len(result.hits) == limit
        assert threads == {("highlights", beside)}
    threads.clear()
    diverse = await retriever.search("needle", limit=MANY + 1, scope=Scope(), options=Options(diverse=True))
    assert len(diverse.hits) == MANY + 1
    assert threads == {("diversify", False), ("highlights", False)}

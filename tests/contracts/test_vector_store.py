"""What every vector store does, whichever its URL."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from random import Random
from time import perf_counter

import httpx2
import numpy as np
import pytest

from intelforge.core.errors import ErrorCode, InvalidInputError, StorageError
from intelforge.core.registry import load_backend
from intelforge.core.values import Attributes, Chunk
from intelforge.index.protocol import EVERYTHING, Filter, Held, Vectors, VectorStore
from intelforge.index.spelling import FuzzyText
from intelforge.testing.documents import make_document
from intelforge.testing.threaded_server import served
from intelforge.testing.weaviate_server import WeaviateDouble

PERSISTENT = ["lancedb:index", "postgresql:", "faiss:index", "qdrant:", "chroma:", "milvus:", "weaviate:"]
LARGE = ["lancedb:index", "postgresql:", "faiss:index"]
"""those whose own engine runs here"""
FOLDERS = ["qdrant:index", "chroma:index", "milvus:index"]
"""for one process"""
URLS = ["memory:", *FOLDERS, *PERSISTENT]
SERVICES = {
    "postgresql:": "pgvector_url",
    "qdrant:": "qdrant_url",
    "chroma:": "chroma_url",
    "milvus:": "milvus_url",
    "weaviate:": "weaviate_url",
}
"""the fixture that gives the whole URL of a backend that is a service"""
WITHOUT_SPELLING = ("qdrant:", "chroma://", "milvus://")
"""stores that cannot tell which words are spelt alike"""
MANY = int(os.environ.get("INTELFORGE_TEST_CHUNKS", "4000"))
"""chunks of the test of many; set it to 100,000 to try a backend in earnest"""


@pytest.fixture
def qdrant_url() -> Iterator[str]:
    """Qdrant's protocol over a socket, answered by the local mode of its client: there is no Qdrant server here."""
    from intelforge.testing.qdrant_server import QdrantDouble

    with served(QdrantDouble()) as url:
        yield url.replace("http://", "qdrant://")


@pytest.fixture
def weaviate_url() -> Iterator[str]:
    """Weaviate's protocol over a socket, answered as its documentation says: there is no Weaviate server here."""
    with served(WeaviateDouble()) as url:
        yield url.replace("http://", "weaviate://")


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the server that is in Chroma's wheel."""
    from intelforge.testing.chroma_server import chroma_server

    with chroma_server(tmp_path_factory.mktemp("chroma")) as url:
        yield url


@pytest.fixture
def chroma_url(chroma_server: str) -> str:
    collections = f"{chroma_server}/api/v2/tenants/default_tenant/databases/default_database/collections"
    for found in httpx2.get(collections).json():
        httpx2.delete(f"{collections}/{found['name']}")
    return chroma_server.replace("http://", "chroma://")


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host and port of Milvus Lite as a server: there is no Milvus here."""
    from intelforge.testing.milvus_server import milvus_server

    with milvus_server(tmp_path_factory.mktemp("milvus")) as place:
        yield place


@pytest.fixture
def milvus_url(milvus_server: str) -> str:
    from pymilvus import MilvusClient

    from intelforge.index.milvus_client import GRPC_OPTIONS

    client = MilvusClient(uri=f"http://{milvus_server}", grpc_options=GRPC_OPTIONS)
    for name in client.list_collections():
        client.drop_collection(name)
    client.close()
    return f"milvus://{milvus_server}"


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest) -> str:
    """Of an empty store."""
    for scheme, package in (("chroma", "chromadb"), ("milvus", "milvus_lite")):
        if request.param.startswith(scheme) and not find_spec(package) and os.environ.get("CI") != "true":
            pytest.skip(f"pip install 'intelforge[{scheme}]'")
    service = SERVICES.get(request.param)
    return str(request.getfixturevalue(service) if service else request.param)


persistent = pytest.mark.parametrize("url", PERSISTENT, indirect=True)


@pytest.fixture
async def store(url: str, tmp_path: Path) -> AsyncIterator[VectorStore]:
    async with opened(url, tmp_path) as store:
        yield store


@asynccontextmanager
async def opened(url: str, root: Path, *, version: int = 1) -> AsyncIterator[VectorStore]:
    async with load_backend("vector_stores", url)(url, root=root, version=version) as store:
        yield store


def chunk(document_id: str, text: str, *, ordinal: int = 0, heading: str = "") -> Chunk:
    return Chunk(
        id=f"{document_id}:{ordinal}",
        document_id=document_id,
        ordinal=ordinal,
        start=0,
        end=len(text),
        text=text,
        heading=heading,
    )


def unit(*values: float) -> Vectors:
    vector = np.array([*values, *[0.0] * (8 - len(values))], np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


async def ids(store: VectorStore, query: "str | Vectors", limit: int = 10) -> list[str]:
    return [hit.chunk_id for hit in await store.search(query, limit=limit)]


async def test_an_empty_store_finds_nothing_and_holds_nothing(store: VectorStore) -> None:
    assert await store.search("anything", limit=5) == []
    assert await store.search(unit(1), limit=5) == []
    assert await store.inventory() == {}
    await store.maintain()
    await store.delete(["absent"])


async def test_chunks_are_found_by_text_as_soon_as_they_are_added(store: VectorStore) -> None:
    await store.add([chunk("a", "the cat sat on the mat"), chunk("b", "dogs chase cars")])
    assert await ids(store, "cat") == ["a:0"]
    await store.add([chunk("c", "another cat")])
    assert set(await ids(store, "cat")) == {"a:0", "c:0"}


async def test_rows_added_after_maintenance_are_found_beside_older_ones(store: VectorStore) -> None:
    await store.add([chunk("a", "zebra stripes"), chunk("b", "plain horse")])
    await store.maintain()
    await store.add([chunk("c", "zebra crossing")])
    assert set(await ids(store, "zebra")) == {"a:0", "c:0"}
    await store.maintain()
    assert set(await ids(store, "zebra")) == {"a:0", "c:0"}


async def test_a_rarer_word_counts_more_and_scores_fall(store: VectorStore) -> None:
    common = [chunk(f"d{number}", f"engine report number{number}") for number in range(8)]
    await store.add([*common, chunk("rare", "engine turbine")])
    hits = await store.search("engine turbine", limit=5)
    assert hits[0].chunk_id == "rare:0"
    assert hits[0].document_id == "rare"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.score > 0 for hit in hits)


async def test_adding_again_replaces_and_doubles_nothing(store: VectorStore) -> None:
    await store.add([chunk("a", "first wording"), chunk("b", "other")])
    await store.add([chunk("a", "second phrasing"), chunk("c", "third")])
    assert await ids(store, "first") == []
    assert await ids(store, "second") == ["a:0"]
    await store.add_vectors(["a:0"], unit(1)[None])
    await store.add_vectors(["a:0"], unit(0, 1)[None])
    assert await store.inventory() == {"a": Held(1, 1), "b": Held(1, 0), "c": Held(1, 0)}
    [hit] = await store.search(unit(0, 1), limit=5)
    assert hit.score == pytest.approx(1, abs=1e-2)


async def test_one_batch_may_name_a_chunk_twice_and_the_last_counts(store: VectorStore) -> None:
    await store.add([chunk("a", "early"), chunk("a", "late")])
    await store.add_vectors(["a:0", "a:0"], np.stack([unit(1), unit(0, 1)]))
    assert await store.inventory() == {"a": Held(1, 1)}
    assert await ids(store, "late") == ["a:0"]
    assert await ids(store, "early") == []


async def test_vectors_may_come_before_or_without_their_text(store: VectorStore) -> None:
    await store.add_vectors(["a:0", "b:3"], np.stack([unit(1), unit(1, 1)]))
    assert await ids(store, unit(1)) == ["a:0", "b:3"]
    assert [hit.document_id for hit in await store.search(unit(1), limit=2)] == ["a", "b"]
    await store.add([chunk("a", "now with text")])
    assert await store.inventory() == {"a": Held(1, 1), "b": Held(0, 1)}


async def test_documents_are_held_by_the_ids_they_were_given_with(store: VectorStore) -> None:
    document = make_document("Carrots need water.")
    await store.add(document.chunks)
    await store.add_vectors([document.chunks[0].id], unit(1)[None])
    assert await store.inventory() == {document.id: Held(1, 1)}


async def test_vector_search_gives_cosines_best_first(store: VectorStore) -> None:
    vectors = np.stack([unit(1), unit(1, 1), unit(0, 1), unit(-1)])
    await store.add_vectors([f"d:{number}" for number in range(4)], vectors)
    hits = await store.search(unit(1), limit=3)
    assert [hit.chunk_id for hit in hits] == ["d:0", "d:1", "d:2"]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.7071, 0], abs=2e-3)


async def test_deleted_documents_are_gone_from_both_parts(store: VectorStore) -> None:
    await store.add([chunk("a", "shared word"), chunk("a", "shared too", ordinal=1), chunk("it's", "shared word")])
    await store.add_vectors(["a:0", "it's:0"], np.stack([unit(1), unit(1, 1)]))
    await store.maintain()
    await store.delete(["a", "a", "never there"])
    assert await ids(store, "shared") == ["it's:0"]
    assert await ids(store, unit(1)) == ["it's:0"]
    await store.delete(["it's"])
    await store.delete([])
    assert await store.inventory() == {}


async def test_identifiers_are_found_whole_and_by_part(store: VectorStore) -> None:
    await store.add(
        [
            chunk("snake", "async def wait_for(fut, timeout): ..."),
            chunk("camel", "def parseHTTPHeader(self): ..."),
            chunk("dotted", "value = os.path.join(root, name)"),
            chunk("prose", "please wait until the header of the letter is dry"),
        ]
    )
    assert (await ids(store, "wait_for"))[0] == "snake:0"
    assert (await ids(store, "asyncio.wait_for"))[0] == "snake:0"
    assert (await ids(store, "parseHTTPHeader"))[0] == "camel:0"
    assert (await ids(store, "http parse"))[0] == "camel:0"
    assert (await ids(store, "os.path.join"))[0] == "dotted:0"
    assert "prose:0" in await ids(store, "header")


async def test_the_heading_is_searched_too(store: VectorStore) -> None:
    await store.add([chunk("a", "Run the command.", heading="Guide > Installation")])
    assert await ids(store, "installation") == ["a:0"]


async def test_a_quoted_phrase_puts_its_holders_first(store: VectorStore) -> None:
    scattered = "exception caught broad, caught exception broad"
    await store.add(
        [
            chunk("scattered", scattered),
            chunk("phrase", f"{'filler ' * 30} Broad exception caught here"),
            chunk("no", "x y"),
        ]
    )
    assert await ids(store, '"broad exception caught"') == ["phrase:0", "scattered:0"]
    assert (await ids(store, "broad exception caught"))[0] == "scattered:0"
    assert (await ids(store, '"nowhere to be found" filler'))[0] == "phrase:0"


async def test_writing_without_spaces_and_accents_is_searchable(store: VectorStore) -> None:
    await store.add([chunk("ja", "東京都の天気"), chunk("de", "Größe und Maß"), chunk("ru", "Привет мир")])
    assert await ids(store, "東京") == ["ja:0"]
    assert await ids(store, "größe") == ["de:0"]
    assert await ids(store, "привет") == ["ru:0"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   \n\t",
        "\x00\x01\x02",
        "the of and",
        '"',
        '""',
        "'); DROP TABLE chunks; --",
        "+cat -dog (AND OR) NOT [1 TO 2] field:value^3 ~2 * ? \\ /",
        "\ud800 lone",
        "🦓" * 50,
        "word " * 20_000,
        "x" * 100_000,
        "`" * 999,
    ],
    ids=lambda query: repr(query[:12]),
)
async def test_no_query_breaks_the_search(store: VectorStore, query: str) -> None:
    await store.add([chunk("a", "some ordinary words")])
    hits = await store.search(query, limit=3)
    assert [hit.chunk_id for hit in hits] in ([], ["a:0"])
    assert await ids(store, "ordinary") == ["a:0"]


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "the of and", "x" * 200_000, "\n" * 1000])
async def test_any_text_can_be_added(store: VectorStore, text: str) -> None:
    await store.add([chunk("odd", text), chunk("a", "ordinary")])
    assert await ids(store, "ordinary") == ["a:0"]
    assert set(await store.inventory()) == {"odd", "a"}


async def test_a_limit_below_one_and_vectors_without_ids_are_refused(store: VectorStore) -> None:
    with pytest.raises(InvalidInputError):
        await store.search("x", limit=0)
    with pytest.raises(InvalidInputError):
        await store.add_vectors(["a:0", "b:0"], unit(1)[None])


async def test_a_vector_of_other_dimensions_is_refused_with_the_way_out(store: VectorStore) -> None:
    await store.add_vectors(["a:0"], unit(1)[None])
    with pytest.raises(StorageError, match=r"8 dimensions.*gives 4.*intelforge index rebuild") as caught:
        await store.search(unit(1)[:4], limit=1)
    assert caught.value.error_code is ErrorCode.UNSUPPORTED


async def test_added_vectors_of_other_dimensions_are_refused_and_nothing_is_lost(store: VectorStore) -> None:
    await store.add_vectors(["a:0", "b:0"], np.stack([unit(1), unit(0, 1)]))
    await store.inventory()
    with pytest.raises(StorageError, match=r"8 dimensions.*gives 4.*intelforge index rebuild") as caught:
        await store.add_vectors(["a:0", "c:0"], np.eye(2, 4, dtype=np.float32))
    assert caught.value.error_code is ErrorCode.UNSUPPORTED
    assert await store.count() == Held(0, 2)
    assert await ids(store, unit(1)) == ["a:0", "b:0"]
    await store.delete(["a", "b"])
    await store.add_vectors(["c:0"], np.eye(1, 4, dtype=np.float32))
    assert await ids(store, unit(1)[:4]) == ["c:0"], "a store without vectors takes any"


@persistent
async def test_vectors_of_other_dimensions_are_refused_after_reopening(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path) as store:
        await store.add_vectors(["a:0"], unit(1)[None])
    async with opened(url, tmp_path) as store:
        with pytest.raises(StorageError, match="8 dimensions"):
            await store.add_vectors(["a:0"], np.eye(1, 4, dtype=np.float32))
        assert await ids(store, unit(1)) == ["a:0"]


async def test_several_tasks_may_write_and_read_at_once(store: VectorStore) -> None:
    async def write(number: int) -> None:
        await store.add([chunk(f"d{number}", f"common topic{number}")])
        await store.add_vectors([f"d{number}:0"], unit(1, number)[None])
        assert await ids(store, f"topic{number}") == [f"d{number}:0"]

    await asyncio.gather(*(write(number) for number in range(8)), store.maintain())
    assert await store.inventory() == {f"d{number}": Held(1, 1) for number in range(8)}


@persistent
async def test_what_was_written_is_there_after_reopening(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path) as store:
        await store.add([chunk("a", "durable words")])
        await store.add_vectors(["a:0"], unit(1)[None])
    async with opened(url, tmp_path) as store:
        assert await ids(store, "durable") == ["a:0"]
        assert await ids(store, unit(1)) == ["a:0"]


@persistent
async def test_an_open_reader_sees_what_another_store_writes(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path) as reader, opened(url, tmp_path) as writer:
        assert await ids(reader, "fresh") == []
        await writer.add([chunk("a", "fresh news")])
        assert await ids(reader, "fresh") == ["a:0"]
        await writer.maintain()
        await writer.delete(["a"])
        assert await ids(reader, "fresh") == []


WRITER = """
import asyncio, sys
from pathlib import Path
import numpy as np
from intelforge.core.registry import load_backend
from intelforge.core.values import Chunk

async def run(url, root, name):
    async with load_backend("vector_stores", url)(url, root=Path(root)) as store:
        for number in range(9):
            document, text = f"{name}{number}", f"parallel {name}{number}"
            chunk = Chunk(id=f"{document}:0", document_id=document, ordinal=0, start=0, end=len(text), text=text)
            await store.add([chunk])
            await store.add_vectors([chunk.id], np.eye(8, dtype=np.float32)[:1])
            if number % 3 == 2:
                await store.maintain()
                await store.delete([document])

asyncio.run(run(*sys.argv[1:]))
"""


@pytest.mark.slow
@persistent
async def test_two_processes_may_write_at_once(url: str, tmp_path: Path) -> None:
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, url, str(tmp_path), name)
        for name in ("left", "right")
    ]
    assert await asyncio.wait_for(asyncio.gather(*(writer.wait() for writer in writers)), 180) == [0, 0]
    kept = [number for number in range(9) if number % 3 != 2]
    async with opened(url, tmp_path) as store:
        assert await store.inventory() == {f"{name}{n}": Held(1, 1) for name in ("left", "right") for n in kept}
        assert await ids(store, "left4") == ["left4:0"]


@pytest.mark.slow
@pytest.mark.parametrize("url", LARGE, indirect=True)
async def test_a_hundred_thousand_chunks_are_searchable_in_seconds(url: str, tmp_path: Path) -> None:
    random = Random(7)
    words = [f"word{number}" for number in range(5_000)]
    async with opened(url, tmp_path) as store:
        started = perf_counter()
        for batch in range(50):
            texts = [" ".join(random.choices(words, k=40)) for _ in range(2_000)]
            await store.add([chunk(f"d{batch}-{number}", text) for number, text in enumerate(texts)])
        await store.add([chunk("needle", "needle in the haystack")])
        assert await ids(store, "needle") == ["needle:0"]
        assert perf_counter() - started < 60
        await store.maintain()
        started = perf_counter()
        assert await ids(store, "needle word7") != []
        assert (await ids(store, "needle"))[0] == "needle:0"
        assert perf_counter() - started < 2
        assert len(await store.inventory()) == 100_001


@pytest.mark.slow
@persistent
async def test_many_chunks_with_vectors_are_found_by_word_by_filter_and_by_vector(url: str, tmp_path: Path) -> None:
    random, numbers = Random(7), np.random.default_rng(7)
    words = [f"word{number}" for number in range(5_000)]
    vectors, recalled, filtered = units(numbers, MANY), list[int](), list[int]()
    about = {f"d{number}": Attributes(labels=of(f"tag:{number % 100}")) for number in range(MANY)}
    chunks = [chunk(key, " ".join([*random.choices(words, k=30), f"rare{key}"])) for key in about]
    async with opened(url, tmp_path) as store:
        for start in range(0, MANY, 2_000):
            batch = chunks[start : start + 2_000]
            described = {each.document_id: about[each.document_id] for each in batch}
            await store.add(batch, described)
            await store.add_vectors([each.id for each in batch], vectors[start : start + 2_000], described)
        await store.maintain()
        assert await store.count() == Held(MANY, MANY)
        assert (await ids(store, "rared77 word1"))[0] == "d77:0"
        seven = Filter(any_of=(of("tag:7"),))
        for query, cosines in ((each, vectors @ each) for each in units(numbers, 20)):
            expected = np.argsort(-cosines)
            recalled.append(len({f"d{row}:0" for row in expected[:10]} & set(await ids(store, query))))
            best = [f"d{row}" for row in expected if row % 100 == 7][:10]
            found = [hit.document_id for hit in await store.search(query, limit=10, where=seven)]
            filtered.append(len(set(best) & set(found)))
        hits = await store.search("word1 word2 word3 word4", limit=100, where=seven)
        holding = {
            each.document_id for each in chunks[7::100] if {"word1", "word2", "word3", "word4"} & set(each.text.split())
        }
        assert {hit.document_id for hit in hits} == holding
    assert np.mean(recalled) >= 9.5
    assert np.mean(filtered) >= 9.5


def units(numbers: np.random.Generator, count: int) -> Vectors:
    """Random directions."""
    vectors = numbers.standard_normal((count, 32)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


async def test_what_is_held_is_counted(store: VectorStore) -> None:
    assert await store.count() == Held(0, 0)
    await store.add([chunk("a", "one"), chunk("a", "two", ordinal=1), chunk("b", "three")])
    await store.add_vectors(["a:0"], unit(1)[None])
    assert await store.count() == Held(3, 1)
    await store.delete(["a"])
    assert await store.count() == Held(1, 0)


ANN, BOB, ALL = "principal:ann", "principal:o'bob; DROP", "principal:everyone"
ABOUT = {
    "open": Attributes(labels=frozenset({ALL, "language:python"}), modified=100.0, quality=0.9),
    "ann": Attributes(labels=frozenset({ANN, "language:go"}), modified=200.5, quality=0.5),
    "both": Attributes(labels=frozenset({ANN, BOB, "language:python", "tag:über"}), modified=300.0, quality=0.1),
    "none": Attributes(),
}


def of(*labels: str) -> frozenset[str]:
    return frozenset(labels)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter(), {"open", "ann", "both", "none", "unknown"}),
        (Filter(any_of=(of(ALL),)), {"open"}),
        (Filter(any_of=(of(ANN),)), {"ann", "both"}),
        (Filter(any_of=(of(BOB),)), {"both"}),
        (Filter(any_of=(of(ALL, ANN),)), {"open", "ann", "both"}),
        (Filter(any_of=(of(ALL, ANN), of("language:python"))), {"open", "both"}),
        (Filter(any_of=(of(ANN), of("language:python"), of("tag:über"))), {"both"}),
        (Filter(any_of=(of("principal:eve"),)), set()),
        (Filter(any_of=(of(),)), set()),
        (Filter(any_of=(of(ALL, ANN),), none_of=of("language:go")), {"open", "both"}),
        (Filter(none_of=of(ANN)), {"open", "none", "unknown"}),
        (Filter(since=200.5), {"ann", "both"}),
        (Filter(since=100.0, until=200.5), {"open"}),
        (Filter(least_quality=0.5, any_of=(of(ALL, ANN),)), {"open", "ann"}),
        (Filter(documents=frozenset({"ann", "none", "absent"})), {"ann", "none"}),
        (Filter(documents=frozenset()), set()),
        (Filter(documents=frozenset({"it's"})), set()),
    ],
)
async def test_a_search_finds_what_its_filter_admits_and_nothing_else(
    store: VectorStore, where: Filter, expected: set[str]
) -> None:
    names = [*ABOUT, "unknown"]
    await store.add([chunk(name, "shared words") for name in names], ABOUT)
    await store.add_vectors([f"{name}:0" for name in names], np.stack([unit(1, n) for n in range(5)]), ABOUT)
    for _ in range(2):
        for query in ("shared", '"shared words"', unit(1)):
            assert {hit.document_id for hit in await store.search(query, limit=10, where=where)} == expected
        await store.maintain()


async def test_what_a_principal_may_not_see_is_in_no_answer(store: VectorStore) -> None:
    names = ["mine", "theirs", "nobodys", "unknown"]
    about = {"mine": ABOUT["ann"], "theirs": Attributes(labels=of(BOB), modified=200.5), "nobodys": Attributes()}
    await store.add([chunk(name, f"shared words secret {name}") for name in names], about)
    await store.add_vectors([f"{name}:0" for name in names], np.stack([unit(1, n) for n in range(4)]), about)
    ann = Filter(any_of=(of(ANN, ALL),))
    asked = [ann, replace(ann, since=0.0), replace(ann, documents=frozenset(names)), replace(ann, none_of=of("tag:x"))]

    async def seen(name: str) -> set[str]:
        alike = (await store.vectors([f"{name}:0"]))[f"{name}:0"]
        queries: list[str | Vectors] = ["shared", f"secret {name}", f'"secret {name}"', alike]
        return {
            hit.document_id
            for query in queries
            for where in asked
            for hit in await store.search(query, limit=50, where=where)
        }

    for _ in range(2):
        for name in names:
            assert await seen(name) == {"mine"}
        await store.maintain()
    await store.describe({"mine": about["theirs"], "theirs": about["mine"]})
    for name in names:
        assert await seen(name) == {"theirs"}


async def test_a_filter_costs_no_hits(store: VectorStore) -> None:
    """The few that are admitted are found however many better ones are not."""
    many = [chunk(f"hidden{number}", "needle needle needle") for number in range(300)]
    few = chunk("seen", "a needle in a long text about quite other things that go on and on")
    about = {"seen": Attributes(labels=of(ANN))}
    await store.add([*many, few], about)
    vectors = np.stack([*[unit(1)] * 300, unit(0, 1)])
    await store.add_vectors([each.id for each in (*many, few)], vectors, about)
    for query in ("needle", unit(1)):
        assert [hit.document_id for hit in await store.search(query, limit=1, where=Filter(any_of=(of(ANN),)))] == [
            "seen"
        ]


async def test_attributes_are_replaced_without_adding_the_text_again(store: VectorStore) -> None:
    await store.add([chunk("a", "needle one"), chunk("b", "needle two")], {"a": ABOUT["ann"], "b": ABOUT["ann"]})
    await store.add_vectors(["a:0", "b:0"], np.stack([unit(1), unit(0, 1)]), {"a": ABOUT["ann"], "b": ABOUT["ann"]})
    await store.maintain()
    await store.describe({"a": ABOUT["open"], "b": Attributes(), "absent": ABOUT["open"]})
    for query in ("needle", unit(1)):
        assert {hit.document_id for hit in await store.search(query, limit=5, where=Filter(any_of=(of(ALL),)))} == {"a"}
        assert await store.search(query, limit=5, where=Filter(any_of=(of(ANN, BOB),))) == []
    await store.describe({})
    assert await store.count() == Held(2, 2)


HOSTILE = ["with 'quotes':0", '"] or id != "x:0', "\\", '\\" or true or "', "\n:0", "'; DROP TABLE chunks; --:0", "ü:0"]


async def test_words_that_are_spelt_alike_are_told_of_what_may_be_found(url: str, store: VectorStore) -> None:
    texts = {"a": "the timeout is over", "b": "a timer, a tinker", "c": "secret timeouz", "d": "several carrots"}
    about = {name: Attributes(labels=of(BOB if name == "c" else ANN)) for name in texts}
    await store.add([chunk(name, text) for name, text in texts.items()], about)
    await store.maintain()
    await store.add([chunk("e", "a timeout added later")], {"e": about["a"]})
    if not isinstance(store, FuzzyText) or url.startswith(WITHOUT_SPELLING):
        pytest.skip("it cannot tell, as docs/stores.md says")
    ann, bob = (Filter(any_of=(of(name),)) for name in (ANN, BOB))
    assert await store.similar("timeoot", where=ann) == ["timeout"]
    assert await store.similar("tiemout", where=ann) == ["timeout"]
    assert await store.similar("Timeouk", where=bob) == ["timeouz"]
    assert await store.similar("Timeouk", where=ann) == ["timeout"]
    assert (await store.similar("carots", where=ann))[0] in ("carrots", "carrot")
    assert await store.similar("quite'other", where=ann) == []
    assert await store.similar("nothing", where=EVERYTHING) == []


async def test_vectors_are_given_back_by_chunk(store: VectorStore) -> None:
    await store.add([chunk("a", "one", ordinal=0), chunk("a", "two", ordinal=1), chunk("b", "three")])
    await store.add_vectors(["a:0", "b:0"], np.stack([unit(1), unit(0.6, 0.8)]))
    await store.maintain()
    await store.add_vectors(["a:0"], np.stack([unit(0, 0, 1)]))
    found = await store.vectors(["a:0", "a:1", "b:0", "never:0", *HOSTILE])
    assert set(found) == {"a:0", "b:0"}
    np.testing.assert_allclose(found["a:0"], unit(0, 0, 1), atol=1e-3)
    np.testing.assert_allclose(found["b:0"], unit(0.6, 0.8), atol=1e-3)
    assert {vector.dtype for vector in found.values()} == {np.dtype(np.float32)}
    assert await store.vectors([]) == {}


async def test_vectors_of_many_chunks_are_given_back(store: VectorStore) -> None:
    ids = [f"d{number // 3}:{number % 3}" for number in range(1500)]
    rows = np.random.default_rng(7).normal(size=(len(ids), 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    await store.add_vectors(ids, rows)
    found = await store.vectors(ids)
    np.testing.assert_allclose(np.stack([found[chunk_id] for chunk_id in ids]), rows, atol=2e-3)


async def test_an_empty_store_has_no_vectors_and_may_be_dropped(store: VectorStore) -> None:
    assert await store.vectors(["a:0"]) == {}
    await store.drop()
    assert await store.search("anything", limit=5) == []


@pytest.mark.parametrize("url", [*FOLDERS, *PERSISTENT], indirect=True)
async def test_versions_live_side_by_side_and_one_is_dropped_alone(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path) as first, opened(url, tmp_path, version=2) as second:
        await first.add([chunk("a", "the old index")])
        await first.add_vectors(["a:0"], np.stack([unit(1)]))
        await second.add([chunk("b", "the new index")])
        wider = np.zeros((1, 16), np.float32)
        wider[0, 0] = 1
        await second.add_vectors(["b:0"], wider)
        assert await ids(first, "index") == ["a:0"]
        assert await ids(second, "index") == ["b:0"]
        assert await first.count() == await second.count() == Held(1, 1)
        await first.drop()
        assert await first.inventory() == await first.vectors(["a:0"]) == {}
        assert await ids(first, "index") == await ids(first, unit(1)) == await ids(first, wider[0]) == []
        assert await second.count() == Held(1, 1)
        assert await ids(second, wider[0]) == ["b:0"]
    async with opened(url, tmp_path) as first, opened(url, tmp_path, version=2) as second:
        assert await first.count() == Held(0, 0)
        assert await second.count() == Held(1, 1)
        await first.add([chunk("c", "refilled")])
        assert await ids(first, "refilled") == ["c:0"]
        await second.drop()

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from intelforge.core.errors import ConfigError, ErrorCode, StorageError
from intelforge.core.values import Attributes, Chunk
from intelforge.index import weaviate_client
from intelforge.index.protocol import Filter, Held
from intelforge.index.server_url import KEY
from intelforge.index.weaviate import open_store
from intelforge.index.weaviate_client import graphql
from intelforge.testing import weaviate_server
from intelforge.testing.model_server import ServerReply, ServerRequest, json_reply
from intelforge.testing.threaded_server import served
from intelforge.testing.weaviate_server import Query, WeaviateDouble

HOSTILE = ['"}) { key } } #', "\\", '\\"', "line\nbreak", '"""', "ü 🦓", "$x: {operator: And}", "]}#"]


def chunk(name: str, text: str) -> Chunk:
    return Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)


def unit(*, dimensions: int = 8, count: int = 1) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.tile(np.eye(1, dimensions, dtype=np.float32), (count, 1))


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a server that wants the key `hidden`, which the environment holds."""
    monkeypatch.setenv(KEY, "hidden")
    with served(WeaviateDouble(key="hidden")) as server:
        yield server.replace("http://", "weaviate://")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weaviate_client, "BATCH", 40)
    monkeypatch.setattr("intelforge.index.weaviate.BATCH", 40)
    monkeypatch.setattr(weaviate_server, "MOST", 100)


@pytest.mark.usefixtures("small_batches")
async def test_more_objects_than_one_request_holds(url: str, tmp_path: Path) -> None:
    count, tagged = 250, Filter(any_of=(frozenset({"tag:a"}),))
    about = {f"d{number}": Attributes(labels=frozenset({"tag:b"})) for number in range(count)}
    async with open_store(url, root=tmp_path) as store:
        await store.add([chunk(name, f"all {name}") for name in about], about)
        await store.add_vectors([f"{name}:0" for name in about], unit(count=count), about)
        await store.describe({name: Attributes(labels=frozenset({"tag:a"})) for name in about})
        assert await store.count() == Held(count, count)
        assert len(await store.inventory()) == count
        assert len(await store.search(unit()[0], limit=90, where=tagged)) == 90
        assert [hit.document_id for hit in await store.search("d123", limit=1, where=tagged)] == ["d123"]
        assert len(await store.vectors([f"{name}:0" for name in about])) == count
        await store.delete([name for name in about if name != "d7"])
        assert await store.inventory() == {"d7": Held(1, 1)}


@pytest.mark.usefixtures("small_batches")
async def test_a_long_document_is_described_and_deleted_whole(url: str, tmp_path: Path) -> None:
    long = [
        Chunk(id=f"long:{number}", document_id="long", ordinal=number, start=0, end=4, text="word")
        for number in range(250)
    ]
    async with open_store(url, root=tmp_path) as store:
        await store.add(long)
        await store.describe({"long": Attributes(labels=frozenset({"tag:a"}))})
        assert await store.search("word", limit=1, where=Filter(none_of=frozenset({"tag:a"}))) == []
        await store.delete(["long"])
        assert await store.count() == Held(0, 0)


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_text_becomes_part_of_a_query(text: str, tmp_path: Path) -> None:
    seen: list[str] = []
    double = WeaviateDouble()

    def answer(request: ServerRequest) -> ServerReply:
        seen.append(request.json["query"] if request.path == "/v1/graphql" else "")
        return double(request)

    about = {text: Attributes(labels=frozenset({text}))}
    where = Filter(any_of=(frozenset({text}),), none_of=frozenset({text * 2}), documents=frozenset({text}))
    with served(answer) as server:
        async with open_store(server.replace("http://", "weaviate://"), root=tmp_path) as store:
            await store.add([chunk(text, f"{text} zebra")], about)
            await store.add_vectors([f"{text}:0"], unit(), about)
            for query in (f"{text} zebra", f'"{text} zebra"', unit()[0]):
                assert [hit.document_id for hit in await store.search(query, limit=3, where=where)] == [text]
            assert set(await store.vectors([f"{text}:0"])) == {f"{text}:0"}
            await store.delete([text])
            assert await store.count() == Held(0, 0)
    assert not any(text in query for query in seen if len(text) > 1)
    assert not any("zebra" in query for query in seen)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_written_as_a_string_of_graphql(text: str) -> None:
    query = f"{{ Get {{ X(where: {graphql({'operator': 'Equal', 'valueText': [text, 1.5, True]})}) {{ a }} }} }}"
    [(_, _, [(_, arguments, fields)])] = Query(query).fields()
    assert arguments == {"where": {"operator": "Equal", "valueText": [text, 1.5, True]}}
    assert [name for name, _, _ in fields] == ["a"]


async def test_a_wrong_key_is_refused_without_being_shown(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "mistaken")
    with pytest.raises(StorageError, match=rf"refuses the key.*{KEY}") as caught:
        async with open_store(url, root=tmp_path):
            pass
    assert caught.value.error_code is ErrorCode.REFUSED
    assert "mistaken" not in str(caught.value)


def disabled(request: ServerRequest) -> ServerReply:
    if request.path != "/v1/graphql":
        return json_reply({"class": "IntelforgeChunks"})
    return json_reply({"error": [{"message": "graphql api is disabled"}]}, status=422)


def broken(request: ServerRequest) -> ServerReply:
    if request.path != "/v1/graphql":
        return json_reply({"class": "IntelforgeChunks"})
    return json_reply({"data": None, "errors": [{"message": "explorer: shard is gone"}]})


@pytest.mark.parametrize(
    ("answer", "code", "hint"),
    [(disabled, ErrorCode.UNSUPPORTED, "DISABLE_GRAPHQL"), (broken, ErrorCode.DAMAGED, "intelforge sync")],
)
async def test_what_graphql_says_becomes_a_code_and_a_hint(
    answer: Callable[[ServerRequest], ServerReply], code: ErrorCode, hint: str, tmp_path: Path
) -> None:
    with served(answer) as server:
        async with open_store(server.replace("http://", "weaviate://"), root=tmp_path) as store:
            with pytest.raises(StorageError, match=hint) as caught:
                await store.search("words", limit=1)
    assert caught.value.error_code is code


async def test_a_full_disk_is_reported_so(tmp_path: Path) -> None:
    with served(WeaviateDouble(full=True)) as server:
        async with open_store(server.replace("http://", "weaviate://"), root=tmp_path) as store:
            with pytest.raises(StorageError, match="no room left") as caught:
                await store.add([chunk("a", "words")])
    assert caught.value.error_code is ErrorCode.DISK_FULL


async def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"weaviate://127\.0\.0\.1:1 does not answer") as caught:
        async with open_store("weaviate://127.0.0.1:1", root=tmp_path):
            pass
    assert caught.value.error_code is ErrorCode.UNREACHABLE


async def test_a_closed_store_says_so(url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not open"):
        await open_store(url, root=tmp_path).count()


def test_a_url_that_names_no_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="weaviate://HOST:8080"):
        open_store("weaviate:index", root=tmp_path)

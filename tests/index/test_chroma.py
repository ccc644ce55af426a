import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from intelforge.core.errors import BackendError, ErrorCode, InvalidInputError, StorageError
from intelforge.core.values import Attributes, Chunk
from intelforge.index import chroma, chroma_client
from intelforge.index.chroma import open_store
from intelforge.index.protocol import Filter, Held
from intelforge.index.server_url import KEY
from intelforge.testing.model_server import ServerReply, ServerRequest, json_reply
from intelforge.testing.threaded_server import served

installed = pytest.mark.skipif(
    not importlib.util.find_spec("chromadb") and os.environ.get("CI") != "true",
    reason="pip install 'intelforge[chroma]'",
)


def chunk(name: str, text: str) -> Chunk:
    return Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)


@pytest.fixture(params=["folder", "server"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield "chroma:index"
        return
    from intelforge.testing.chroma_server import chroma_server

    with chroma_server(tmp_path) as server:
        yield server.replace("http://", "chroma://")


@installed
async def test_more_rows_than_one_request_or_page_holds(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chroma, "BATCH", 100)
    monkeypatch.setattr(chroma_client, "PAGE", 150)
    count, tagged = 450, Filter(any_of=(frozenset({"tag:a"}),))
    about = {f"d{number}": Attributes(labels=frozenset({"tag:b"})) for number in range(count)}
    async with open_store(url, root=tmp_path) as store:
        await store.add([chunk(name, f"all {name}") for name in about], about)
        await store.add_vectors(
            [f"{name}:0" for name in about], np.tile(np.eye(1, 8, dtype=np.float32), (count, 1)), about
        )
        assert await store.count() == Held(count, count)
        await store.describe({name: Attributes(labels=frozenset({"tag:a"})) for name in about})
        assert len(await store.search(np.eye(1, 8, dtype=np.float32)[0], limit=440, where=tagged)) == 440
        assert [hit.document_id for hit in await store.search("d123", limit=1, where=tagged)] == ["d123"]
        assert len(await store.inventory()) == count


@installed
async def test_a_closed_folder_says_so(tmp_path: Path) -> None:
    async with open_store("chroma:index", root=tmp_path) as store:
        await store.add([chunk("a", "words")])
    with pytest.raises(StorageError, match="not open"):
        await store.inventory()


async def test_a_server_is_sent_the_key_and_a_refusal_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def refuse(request: ServerRequest) -> ServerReply:
        seen.append(request.headers["x-chroma-token"])
        return json_reply({"error": "Unauthorized"}, status=401)

    monkeypatch.setenv(KEY, "hidden")
    with served(refuse) as server, pytest.raises(StorageError, match=rf"refuses the key.*{KEY}") as caught:
        async with open_store(server.replace("http://", "chroma://"), root=tmp_path):
            pass
    assert seen == ["hidden"]
    assert "hidden" not in str(caught.value)


async def test_an_answer_that_is_no_json_is_reported(tmp_path: Path) -> None:
    with (
        served(lambda request: ServerReply(body=b"<html>")) as server,
        pytest.raises(StorageError, match="no JSON") as caught,
    ):
        async with open_store(server.replace("http://", "chroma://"), root=tmp_path):
            pass
    assert caught.value.error_code is ErrorCode.DAMAGED


async def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"chroma://127\.0\.0\.1:1 does not answer"):
        async with open_store("chroma://127.0.0.1:1", root=tmp_path):
            pass


def test_without_the_library_a_folder_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"intelforge\[chroma\]"):
        open_store("chroma:index", root=tmp_path)
    open_store("chroma://box", root=tmp_path)


def test_a_url_that_names_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="names no server"):
        open_store("chroma:", root=tmp_path)

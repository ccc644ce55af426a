import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from intelforge.core.errors import BackendError, ErrorCode, InvalidInputError, StorageError
from intelforge.core.values import Attributes, Chunk
from intelforge.index import milvus_client
from intelforge.index.milvus import open_store
from intelforge.index.protocol import Filter, Held

installed = pytest.mark.skipif(
    not importlib.util.find_spec("milvus_lite") and os.environ.get("CI") != "true",
    reason="pip install 'intelforge[milvus]'",
)


def chunk(name: str, text: str) -> Chunk:
    return Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)


@pytest.fixture(params=["folder", "server"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield "milvus:index"
        return
    from intelforge.testing.milvus_server import milvus_server

    with milvus_server(tmp_path) as place:
        yield f"milvus://{place}"


@installed
async def test_more_rows_than_one_request_or_page_holds(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_client, "BATCH", 100)
    count, tagged = 450, Filter(any_of=(frozenset({"tag:a"}),))
    about = {f"d{number}": Attributes(labels=frozenset({"tag:b"})) for number in range(count)}
    vectors = np.tile(np.eye(1, 8, dtype=np.float32), (count, 1))
    async with open_store(url, root=tmp_path) as store:
        await store.add([chunk(name, f"all {name}") for name in about], about)
        await store.add_vectors([f"{name}:0" for name in about], vectors, about)
        await store.describe({name: Attributes(labels=frozenset({"tag:a"})) for name in about})
        assert await store.count() == Held(count, count)
        assert len(await store.search(vectors[0], limit=440, where=tagged)) == 440
        assert [hit.document_id for hit in await store.search("d123", limit=1, where=tagged)] == ["d123"]
        assert len(await store.inventory()) == count


@installed
async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with open_store("milvus:index", root=tmp_path) as store:
        await store.add([chunk("a", "words")])
    with pytest.raises(StorageError, match="not open"):
        await store.inventory()


@installed
async def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"milvus://127\.0\.0\.1:1 does not answer") as caught:
        async with open_store("milvus://127.0.0.1:1", root=tmp_path):
            pass
    assert caught.value.error_code is ErrorCode.UNREACHABLE


def test_without_the_library_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"intelforge\[milvus\]"):
        open_store("milvus:index", root=tmp_path)


def test_a_url_that_names_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="names no server"):
        open_store("milvus:", root=tmp_path)

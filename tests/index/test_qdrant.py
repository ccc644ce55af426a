import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from intelforge.core.errors import BackendError, BusyError, ErrorCode, InvalidInputError, StorageError
from intelforge.core.values import Chunk
from intelforge.index.protocol import Held
from intelforge.index.qdrant import open_store
from intelforge.index.server_url import KEY
from intelforge.testing.threaded_server import served


def chunk(name: str, text: str) -> Chunk:
    return Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a server that wants the key `hidden`, which the environment holds."""
    from intelforge.testing.qdrant_server import QdrantDouble

    monkeypatch.setenv(KEY, "hidden")
    with served(QdrantDouble(key="hidden")) as server:
        yield server.replace("http://", "qdrant://")


async def test_more_points_than_fit_one_request_are_sent(url: str, tmp_path: Path) -> None:
    async with open_store(url, root=tmp_path) as store:
        await store.add([chunk(f"d{number}", f"word{number}") for number in range(1100)])
        assert await store.count() == Held(1100, 0)
        assert len(await store.inventory()) == 1100


async def test_a_wrong_key_is_refused_without_being_shown(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "mistaken")
    with pytest.raises(StorageError, match=rf"refuses the key.*{KEY}") as caught:
        async with open_store(url, root=tmp_path):
            pass
    assert caught.value.error_code is ErrorCode.REFUSED
    assert "mistaken" not in str(caught.value)


async def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"qdrant://127\.0\.0\.1:1 does not answer") as caught:
        async with open_store("qdrant://127.0.0.1:1", root=tmp_path):
            pass
    assert caught.value.error_code is ErrorCode.UNREACHABLE


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client leaves its lock file open
async def test_a_folder_is_kept_and_belongs_to_one_process(tmp_path: Path) -> None:
    async with open_store("qdrant:index", root=tmp_path) as store:
        await store.add([chunk("a", "durable words")])
        with pytest.raises(BusyError, match="open in another process"):
            async with open_store("qdrant:index", root=tmp_path):
                pass
    async with open_store("qdrant:index", root=tmp_path) as store:
        assert [hit.chunk_id for hit in await store.search("durable", limit=1)] == ["a:0"]
    with pytest.raises(StorageError, match="not open"):
        await store.count()


def test_without_the_client_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(BackendError, match=r"intelforge\[qdrant\]"):
        open_store("qdrant:index", root=tmp_path)


def test_a_url_that_names_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="names no server"):
        open_store("qdrant:", root=tmp_path)

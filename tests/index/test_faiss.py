import importlib
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from intelforge.core.errors import BackendError, ErrorCode, InvalidInputError, StorageError
from intelforge.core.values import Attributes
from intelforge.index import faiss_vectors
from intelforge.index.faiss import FaissStore, open_store
from intelforge.index.protocol import EVERYTHING, Filter, Vectors

RARE = Filter(any_of=(frozenset({"tag:rare"}),))
OFTEN = Filter(none_of=frozenset({"tag:rare"}))


def units(count: int, dimensions: int = 16) -> Vectors:
    vectors = np.random.default_rng(5).standard_normal((count, dimensions))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


async def fill(store: FaissStore, vectors: Vectors) -> None:
    about = {
        f"d{n}": Attributes(labels=frozenset({"tag:rare"} if n % 100 == 0 else set())) for n in range(len(vectors))
    }
    await store.add_vectors([f"{name}:0" for name in about], vectors, about)


async def found(store: FaissStore, query: Vectors, where: Filter = EVERYTHING, limit: int = 10) -> list[str]:
    return [hit.document_id for hit in await store.search(query, limit=limit, where=where)]


def nearest(vectors: Vectors, query: Vectors, rows: "list[int]", limit: int = 10) -> list[str]:
    return [f"d{rows[at]}" for at in np.argsort(-(vectors[rows] @ query))[:limit]]


@pytest.fixture
def small_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_vectors, "GRAPH_FROM", 500)


@pytest.mark.usefixtures("small_graph")
async def test_the_graph_gives_what_a_scan_gives_also_after_writes_and_reopening(tmp_path: Path) -> None:
    vectors, query = units(1000), units(1001)[-1]
    async with open_store("faiss:index", root=tmp_path) as store:
        await fill(store, vectors)
        await store.maintain()
        assert (tmp_path / "index" / "graph.npz").exists()
        assert store._vectors._saved == 1000
        gone = nearest(vectors, query, list(range(1000)))[:3]
        await store.delete(gone)
        await store.add_vectors(["new:0"], query[None])
        kept = [row for row in range(1000) if f"d{row}" not in gone]
        assert await found(store, query, OFTEN) == ["new", *nearest(vectors, query, [r for r in kept if r % 100])[:9]]
        assert await found(store, query, RARE) == nearest(vectors, query, [r for r in kept if r % 100 == 0])
    async with open_store("faiss:index", root=tmp_path) as store:
        assert await found(store, query, OFTEN) == ["new", *nearest(vectors, query, [r for r in kept if r % 100])[:9]]
        assert store._vectors._saved == 1000


@pytest.mark.usefixtures("small_graph")
async def test_a_graph_that_is_damaged_missing_or_of_another_store_is_made_again(tmp_path: Path) -> None:
    vectors = units(600)
    for name in ("one", "two"):
        async with open_store(f"faiss:{name}", root=tmp_path) as store:
            await fill(store, vectors if name == "one" else vectors[::-1])
            await store.maintain()
    graph, whole = tmp_path / "one" / "graph.npz", (tmp_path / "one" / "graph.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    foreign = (tmp_path / "two" / "graph.npz").read_bytes()
    for content in (b"", b"junk", whole[: len(whole) // 2], bytes(flipped), foreign, None):
        graph.unlink() if content is None else graph.write_bytes(content)
        async with open_store("faiss:one", root=tmp_path) as store:
            assert await found(store, vectors[7], limit=1) == ["d7"]
            assert store._vectors._saved == 0
            await store.maintain()
            assert store._vectors._saved == 600
            assert await found(store, vectors[7], limit=1) == ["d7"]


@pytest.mark.usefixtures("small_graph")
async def test_a_graph_with_many_dead_is_built_again(tmp_path: Path) -> None:
    vectors = units(1000)
    async with open_store("faiss:index", root=tmp_path) as store:
        await fill(store, vectors)
        await store.maintain()
        await store.delete([f"d{number}" for number in range(300)])
        await store.maintain()
        assert store._vectors._saved == 700
        assert await found(store, vectors[500], limit=1) == ["d500"]


async def test_the_masks_of_the_filters_asked_for_last_are_kept(tmp_path: Path) -> None:
    vectors = units(20)
    async with open_store("faiss:index", root=tmp_path) as store:
        await fill(store, vectors)
        filters = [Filter(documents=frozenset({f"d{n}"})) for n in range(20)]
        for n, where in enumerate(filters):
            assert await found(store, vectors[0], where) == [f"d{n}"]
            assert await found(store, vectors[0], RARE) == ["d0"]
        assert list(store._vectors._masks) == [*filters[-faiss_vectors.MASKS + 1 :], RARE]


async def test_what_is_added_does_not_make_it_read_all_rows_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, owners = units(6), Mock(wraps=faiss_vectors._owners)
    monkeypatch.setattr(faiss_vectors, "_owners", owners)
    async with open_store("faiss:index", root=tmp_path) as store:
        for n in range(5):
            await store.add_vectors([f"d{n}:0"], vectors[n : n + 1])
            assert (await found(store, vectors[n]))[0] == f"d{n}"
        owners.assert_not_called()
        await store.delete(["d1"])
        await store.add_vectors(["d5:0", "d0:0"], vectors[[5, 1]])
        assert (await found(store, vectors[1]))[0] == "d0"
        assert sorted(await found(store, vectors[5])) == ["d0", "d2", "d3", "d4", "d5"]
        owners.assert_called()


async def test_without_faiss_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(BackendError, match=r"intelforge\[faiss\]"):
        open_store("faiss:index", root=tmp_path)


def test_a_url_without_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="names no folder"):
        open_store("faiss:", root=tmp_path)


async def test_a_folder_that_cannot_be_made_is_reported_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="check the permissions"):
        async with open_store("faiss:file/index", root=tmp_path):
            pass


async def test_the_disk_being_full_is_reported_when_the_graph_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_graph: None
) -> None:
    def full(*args: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    async with open_store("faiss:index", root=tmp_path) as store:
        await fill(store, units(600))
        monkeypatch.setattr(np, "savez", full)
        with pytest.raises(StorageError, match="free some space") as caught:
            await store.maintain()
        assert caught.value.error_code is ErrorCode.DISK_FULL
        assert [file.name for file in (tmp_path / "index").glob("*.new")] == []
        assert len(await found(store, units(1)[0])) == 10

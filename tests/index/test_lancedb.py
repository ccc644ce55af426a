import shutil
from pathlib import Path

import pytest

from intelforge.core.errors import ErrorCode, InvalidInputError, StorageError
from intelforge.core.values import Chunk
from intelforge.index.lancedb import LanceStore, open_store


def chunk(name: str) -> Chunk:
    return Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=4, text=f"text {name}")


@pytest.mark.parametrize("ending", ["*.lance/data/*", "*.lance/_versions/*"])
async def test_a_damaged_index_says_how_to_rebuild_it(tmp_path: Path, ending: str) -> None:
    async with open_store("lancedb:index", root=tmp_path) as store:
        await store.add([chunk("a")])
    for file in (tmp_path / "index").glob(ending):
        file.write_bytes(b"damaged")
    async with open_store("lancedb:index", root=tmp_path) as store:
        with pytest.raises(StorageError, match="intelforge sync") as caught:
            await store.search("text", limit=1)
    assert caught.value.error_code is ErrorCode.DAMAGED


async def test_a_deleted_index_is_empty_and_can_be_filled_again(tmp_path: Path) -> None:
    async with open_store("lancedb:index", root=tmp_path) as store:
        await store.add([chunk("a")])
    shutil.rmtree(tmp_path / "index")
    async with open_store("lancedb:index", root=tmp_path) as store:
        assert await store.inventory() == {}
        await store.add([chunk("a")])
        assert len(await store.search("text", limit=5)) == 1


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not open"):
        await LanceStore(tmp_path).search("x", limit=1)


def test_a_url_without_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="names no folder"):
        open_store("lancedb:", root=tmp_path)

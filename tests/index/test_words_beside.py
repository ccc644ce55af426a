"""A vector store beside a file of words."""

from pathlib import Path

import numpy as np
import pytest

from intelforge.core.errors import StorageError
from intelforge.core.values import Attributes
from intelforge.index.memory import MemoryStore
from intelforge.index.protocol import Filter, Held
from intelforge.index.sqlite_text import TextIndex
from intelforge.index.words_beside import WordsBeside
from intelforge.testing.documents import make_document

DOCUMENT = make_document("Carrots need water.")
[CHUNK] = DOCUMENT.chunks
VECTOR = np.eye(1, 4, dtype=np.float32)
MINE = Filter(any_of=(frozenset({"tag:mine"}),))


async def test_words_are_in_the_file_and_vectors_in_the_store(tmp_path: Path) -> None:
    inner = MemoryStore()
    async with WordsBeside(TextIndex(tmp_path / "words.sqlite"), inner) as store:
        await store.add([CHUNK])
        await store.add_vectors([CHUNK.id], VECTOR)
        assert await inner.count() == Held(0, 1)
        assert await store.count() == Held(1, 1)
        assert await store.inventory() == {DOCUMENT.id: Held(1, 1)}
        for query in ("carrots", VECTOR[0]):
            assert [hit.chunk_id for hit in await store.search(query, limit=1)] == [CHUNK.id]


async def test_what_is_said_of_a_document_is_known_to_both_and_deleted_from_both(tmp_path: Path) -> None:
    async with WordsBeside(TextIndex(tmp_path / "words.sqlite"), MemoryStore()) as store:
        await store.add([CHUNK])
        await store.add_vectors([CHUNK.id], VECTOR)
        for query in ("carrots", VECTOR[0]):
            assert await store.search(query, limit=1, where=MINE) == []
        await store.describe({DOCUMENT.id: Attributes(labels=frozenset({"tag:mine"}))})
        for query in ("carrots", VECTOR[0]):
            assert len(await store.search(query, limit=1, where=MINE)) == 1
        await store.delete([DOCUMENT.id])
        assert await store.inventory() == {}


async def test_a_file_that_cannot_be_opened_leaves_no_store_open(tmp_path: Path) -> None:
    closed: list[bool] = []

    class Watched(MemoryStore):
        async def __aexit__(self, *exception: object) -> None:
            closed.append(True)

    (tmp_path / "words.sqlite").mkdir()
    with pytest.raises(StorageError):
        async with WordsBeside(TextIndex(tmp_path / "words.sqlite"), Watched()):
            pass
    assert closed == [True]

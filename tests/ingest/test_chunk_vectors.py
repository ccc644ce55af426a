"""Vectors of chunks."""

import asyncio

import numpy as np

from intelforge.index.memory import MemoryStore
from intelforge.ingest.chunk_vectors import ChunkVectors
from intelforge.testing.documents import make_document
from intelforge.testing.embedder import HashEmbedder

CHUNKS = make_document("One word. " * 90 + "\n\nA timeout cancels the task.\n\n" + "Carrots need water. " * 40).chunks


def never() -> bool:
    return False


async def test_vectors_come_in_the_order_of_the_chunks() -> None:
    embedder = HashEmbedder()
    found = await ChunkVectors(embedder).of(CHUNKS, never)
    assert found is not None
    assert len(found) == len(CHUNKS) > 1
    for chunk, vector in zip(CHUNKS, found, strict=True):
        assert np.allclose(vector, (await embedder.embed([chunk.embedding_text]))[0])


async def test_what_the_donor_has_is_not_made_again() -> None:
    embedder, donor = HashEmbedder(), MemoryStore()
    made = await ChunkVectors(embedder).of(CHUNKS, never)
    assert made is not None
    await donor.add_vectors([CHUNKS[0].id], made[:1])
    embedder.asked.clear()
    found = await ChunkVectors(embedder, donor=donor).of(CHUNKS, never)
    assert found is not None
    assert np.allclose(found, made)
    assert CHUNKS[0].embedding_text not in embedder.asked
    assert len(embedder.asked) == len(CHUNKS) - 1


async def test_nothing_is_made_while_someone_waits_for_an_answer() -> None:
    embedder, idle = HashEmbedder(), asyncio.Event()
    waiting = asyncio.create_task(ChunkVectors(embedder, idle=idle).of(CHUNKS, never))
    done, _ = await asyncio.wait([waiting], timeout=0)
    assert not done
    assert not embedder.asked
    idle.set()
    assert await waiting is not None


async def test_what_is_stopped_on_the_way_gives_nothing() -> None:
    assert await ChunkVectors(HashEmbedder()).of(CHUNKS, lambda: True) is None

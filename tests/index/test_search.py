from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest

from intelforge.core.errors import InvalidInputError, ModelError
from intelforge.core.values import Chunk
from intelforge.index.memory import MemoryStore
from intelforge.index.protocol import TextKind, Vectors
from intelforge.index.search import Index, search

TEXTS = {"cat": "the cat sleeps", "dog": "a dog barks", "wait": "def wait_for(): cat"}


class OneDirection:
    """Puts every text at the same place, next to the document `dog`."""

    name = "one"
    dimensions = 2
    tokenizer = None
    at_once = 32

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        return np.array([[1, 0]] * len(texts), np.float32)


class Broken(OneDirection):
    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        raise ModelError("the weights are damaged")


async def filled() -> MemoryStore:
    store = MemoryStore()
    chunks = [
        Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)
        for name, text in TEXTS.items()
    ]
    await store.add(chunks)
    await store.add_vectors(["dog:0", "cat:0", "wait:0"], np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32))
    return store


async def test_both_parts_find_and_say_what_they_scored() -> None:
    found = await search("sleeps", Index(store=await filled(), embedder=OneDirection()), limit=3)
    assert {hit.chunk_id: sorted(hit.scores) for hit in found} == {
        "cat:0": ["lexical", "vector"],
        "dog:0": ["vector"],
        "wait:0": ["vector"],
    }


@pytest.mark.parametrize("embedder", [None, Broken()])
async def test_without_a_working_embedder_words_alone_decide(embedder: OneDirection | None) -> None:
    found = await search("cat", Index(store=await filled(), embedder=embedder), limit=3)
    assert [hit.document_id for hit in found] == ["cat", "wait"]


async def test_an_exact_name_is_first_whatever_the_meaning_says() -> None:
    found = await search("wait_for", Index(store=await filled(), embedder=OneDirection()), limit=1)
    assert [hit.document_id for hit in found] == ["wait"]


async def test_a_chunk_without_a_vector_is_not_behind_when_nothing_is_embedded() -> None:
    found = await search("cat sleeps", Index(store=await filled(), embedder=OneDirection(), embedded=0.01), limit=1)
    assert [hit.document_id for hit in found] == ["cat"]


async def test_blank_queries_find_nothing_and_wrong_limits_are_refused() -> None:
    assert await search("  ", Index(store=await filled(), embedder=OneDirection()), limit=3) == []
    with pytest.raises(InvalidInputError):
        await search("cat", Index(store=await filled(), embedder=None), limit=0)


async def test_a_query_is_embedded_as_one() -> None:
    class Listening(OneDirection):
        kinds: ClassVar[list[TextKind]] = []

        async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
            self.kinds.append(kind)
            return await super().embed(texts)

    await search("cat", Index(store=await filled(), embedder=Listening()), limit=3)
    assert Listening.kinds == [TextKind.QUERY]

from collections.abc import Sequence
from random import Random
from typing import ClassVar

import numpy as np
import pytest

from intelforge.core.errors import InvalidInputError, ModelError, StorageError
from intelforge.core.values import Chunk
from intelforge.index.memory import MemoryStore
from intelforge.index.protocol import EVERYTHING, Filter, Scored, TextKind, Vectors
from intelforge.index.search import Fused, Index, search

TEXTS = {"cat": "the cat sleeps", "dog": "a dog barks", "wait": "def wait_for(): cat"}


class OneDirection:
    """Puts every text at the same place, next to the document `dog`."""

    name = "one"
    dimensions = 2
    tokenizer = None
    at_once = 32
    local = True

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        return np.array([[1, 0]] * len(texts), np.float32)


class Broken(OneDirection):
    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        raise ModelError("the weights are damaged")


async def filled(store: MemoryStore | None = None) -> MemoryStore:
    store = store or MemoryStore()
    chunks = [
        Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)
        for name, text in TEXTS.items()
    ]
    await store.add(chunks)
    await store.add_vectors(["dog:0", "cat:0", "wait:0"], np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32))
    return store


async def hits_of(query: str, index: Index, *, limit: int) -> Sequence[Fused]:
    return (await search(query, index, limit=limit)).hits


async def test_both_parts_find_and_say_what_they_scored() -> None:
    found = await hits_of("sleeps", Index(store=await filled(), embedder=OneDirection()), limit=3)
    assert {hit.chunk_id: sorted(hit.scores) for hit in found} == {
        "cat:0": ["lexical", "vector"],
        "dog:0": ["vector"],
        "wait:0": ["vector"],
    }


@pytest.mark.parametrize("embedder", [None, Broken()])
async def test_without_a_working_embedder_words_alone_decide(embedder: OneDirection | None) -> None:
    found = await hits_of("cat", Index(store=await filled(), embedder=embedder), limit=3)
    assert [hit.document_id for hit in found] == ["cat", "wait"]


async def test_an_exact_name_is_first_whatever_the_meaning_says() -> None:
    found = await hits_of("wait_for", Index(store=await filled(), embedder=OneDirection()), limit=1)
    assert [hit.document_id for hit in found] == ["wait"]


async def test_a_chunk_without_a_vector_is_not_behind_when_nothing_is_embedded() -> None:
    found = await hits_of("cat sleeps", Index(store=await filled(), embedder=OneDirection(), embedded=0.01), limit=1)
    assert [hit.document_id for hit in found] == ["cat"]


async def test_blank_queries_find_nothing_and_wrong_limits_are_refused() -> None:
    assert await hits_of("  ", Index(store=await filled(), embedder=OneDirection()), limit=3) == []
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


class Half(MemoryStore):
    """Fails for one part of a search."""

    def __init__(self, broken: type) -> None:
        super().__init__()
        self.broken = broken

    async def search(self, query: str | Vectors, *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        if isinstance(query, self.broken):
            raise StorageError("the disk is away", hint="plug it in")
        return await super().search(query, limit=limit, where=where)


async def test_what_fails_is_left_out_and_a_note_says_so() -> None:
    store = await filled()
    failing = await search("cat", Index(store=store, embedder=Broken()), limit=3)
    assert failing.notes == ("the query cannot be embedded (the weights are damaged): these are found by words alone",)
    assert failing.weighing.vector == 0
    without_vectors = await search("cat", Index(store=await filled(Half(np.ndarray)), embedder=OneDirection()), limit=3)
    assert [hit.document_id for hit in without_vectors.hits] == ["cat", "wait"]
    assert without_vectors.notes == (
        "vectors cannot be searched (the disk is away; plug it in): these are found by words alone",
    )
    without_words = await search("cat", Index(store=await filled(Half(str)), embedder=OneDirection()), limit=3)
    assert [hit.document_id for hit in without_words.hits] == ["dog", "cat", "wait"]
    assert without_words.notes == (
        "words cannot be looked up (the disk is away; plug it in): these are found by meaning alone",
    )


@pytest.mark.parametrize("embedder", [None, Broken()])
async def test_when_nothing_works_the_error_is_that_of_the_words(embedder: OneDirection | None) -> None:
    with pytest.raises(StorageError, match="the disk is away"):
        await search("cat", Index(store=await filled(Half(str)), embedder=embedder), limit=3)


async def test_the_parts_of_a_score_add_up_to_it() -> None:
    found = await search("cat sleeps", Index(store=await filled(), embedder=OneDirection()), limit=3)
    for hit in found.hits:
        assert sum(part.scaled * part.weight for part in hit.parts) == pytest.approx(hit.score)
    assert found.weighing.why.startswith("a question is taken by its meaning")
    assert {part: len(hits) for part, hits in found.candidates.items()} == {"lexical": 2, "vector": 3}
    assert set(found.seconds) == {"words", "meaning"}


async def test_more_candidates_by_words_change_no_rank() -> None:
    store = MemoryStore()
    texts = {f"d{number:03}": "cat " * (number % 7 + 1) + f"sleeps {'long ' * (number % 5)}" for number in range(300)}
    await store.add(
        [
            Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)
            for name, text in texts.items()
        ]
    )
    index = Index(store=store, embedder=None)
    plain, more = await search("cat", index, limit=5), await search("cat", index, limit=5, at_least=250)
    assert plain.hits == more.hits
    assert (len(plain.candidates["lexical"]), len(more.candidates["lexical"])) == (100, 250)


async def test_a_vector_to_be_like_stands_for_the_query() -> None:
    found = await search("", Index(store=await filled()), limit=2, like=np.array([0.6, 0.8], np.float32))
    assert [hit.document_id for hit in found.hits] == ["cat", "wait"]
    assert found.weighing.vector == 1


async def test_only_the_beginning_of_a_very_long_query_is_embedded() -> None:
    class Measuring(OneDirection):
        lengths: ClassVar[list[int]] = []

        async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
            self.lengths.extend(map(len, texts))
            return await super().embed(texts)

    await search("cat " * 30_000, Index(store=await filled(), embedder=Measuring()), limit=3)
    assert Measuring.lengths == [4000]


async def test_the_order_is_the_same_however_many_of_a_pool_are_asked_for() -> None:
    store, random = MemoryStore(), Random(5)
    chunks = [
        Chunk(id=f"{n}:0", document_id=str(n), ordinal=0, start=0, end=len(text), text=text)
        for n in range(400)
        for text in ["cat " * random.randint(1, 9) + "hay " * random.randint(0, 20)]
    ]
    await store.add(chunks)
    angles = np.array([random.random() for _ in chunks])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    await store.add_vectors([chunk.id for chunk in chunks], vectors)
    index = Index(store=store, embedder=OneDirection())
    for few, many in ((10, 100), (101, 160), (120, 500)):
        order = [hit.chunk_id for hit in await hits_of("cat hay", index, limit=many)]
        assert [hit.chunk_id for hit in await hits_of("cat hay", index, limit=few)] == order[:few]

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.index.center import Center, load_center, save_center
from intelforge.index.memory import MemoryStore
from intelforge.index.protocol import TextKind, Vectors
from intelforge.index.search import Index, search
from intelforge.store.database import open_database
from intelforge.store.facts import Facts
from intelforge.testing.embedder import HashEmbedder


def unit(*values: float) -> Vectors:
    return np.asarray(np.array(values) / np.linalg.norm(values), np.float32)


@pytest.fixture
async def facts(tmp_path: Path) -> AsyncIterator[Facts]:
    database = await open_database("sqlite:///test.db", root=tmp_path)
    yield Facts(database)
    await database.close()


@given(st.integers(1, 20), st.integers(1, 20))
def test_centres_join_to_the_mean_of_all(left: int, right: int) -> None:
    vectors = np.random.default_rng(left * 21 + right).normal(size=(left + right, 4)).astype(np.float32)
    joined = Center.of(vectors[:left]).joined(Center.of(vectors[left:]))
    assert joined.number == left + right
    assert np.allclose(joined.mean, vectors.mean(axis=0), atol=1e-5)


def test_a_query_loses_what_all_texts_have_in_common_the_more_of_them_there_are() -> None:
    common, query = unit(1, 0), unit(1, 1)
    few, many = (Center(mean=common, number=number).leave(query) for number in (1, 100_000))
    assert query @ common > few @ common > many @ common > 0
    assert np.linalg.norm(many) == pytest.approx(1, abs=1e-6)


def test_a_query_far_from_the_corpus_is_left_as_it_is() -> None:
    for mean in (unit(0, 1), np.zeros(2, np.float32)):
        assert Center(mean=mean, number=100_000).leave(unit(1, 0)) == pytest.approx(unit(1, 0))


async def test_a_text_near_to_everything_is_not_nearer_to_a_query_than_what_it_is_about() -> None:
    store = MemoryStore()
    await store.add_vectors(["hub:0", "about:0"], np.stack([unit(1, 0.3, 0), unit(0.5, 1, 0.4)]))

    class Asked(HashEmbedder):
        async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
            return np.stack([unit(1, 0.7, 0)])

    center = Center(mean=unit(1, 0, 0) * 0.9, number=100_000)
    plain = await search("q", Index(store=store, embedder=Asked()), limit=2)
    centred = await search("q", Index(store=store, embedder=Asked(), center=center), limit=2)
    assert [hit.document_id for hit in plain.hits] == ["hub", "about"]
    assert [hit.document_id for hit in centred.hits] == ["about", "hub"]


async def test_a_centre_is_kept_for_its_embedder_alone(facts: Facts) -> None:
    assert await load_center(facts, "one") is None
    center = Center(mean=unit(3, 4), number=7)
    await save_center(facts, "one", center)
    found = await load_center(facts, "one")
    assert found
    assert (found.number, found.mean.tolist()) == (7, center.mean.tolist())
    assert await load_center(facts, "two") is None

"""An embedder behind the cache."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from intelforge.core.errors import ModelError
from intelforge.index import weights
from intelforge.index.embedders.cache import CacheCounts, EmbeddingCache
from intelforge.index.embedders.cached import CachedEmbedder
from intelforge.index.onnx import open_embedder
from intelforge.index.protocol import TextKind, Vectors
from intelforge.testing.embedder import HashEmbedder

NAME = "all-MiniLM-L6-v2"


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[EmbeddingCache]:
    cache = EmbeddingCache(tmp_path / "embeddings.db")
    yield cache
    await cache.close()


async def test_only_what_is_new_is_embedded_and_each_text_once(cache: EmbeddingCache) -> None:
    inner = HashEmbedder()
    embedder = CachedEmbedder(inner, cache)
    first = await embedder.embed(["a", "b", "a"])
    second = await embedder.embed(["c", "b", "a", "c"])
    assert inner.asked == ["a", "b", "c"]
    plain = HashEmbedder()
    assert np.array_equal(first, await plain.embed(["a", "b", "a"]))
    assert np.array_equal(second, await plain.embed(["c", "b", "a", "c"]))
    assert cache.counts == CacheCounts(hits=2, misses=3)


async def test_indexing_and_searching_share_it_but_not_across_models_and_kinds(cache: EmbeddingCache) -> None:
    inner, other = HashEmbedder(), HashEmbedder(name="other")
    await CachedEmbedder(inner, cache).embed(["a"])
    await CachedEmbedder(inner, cache).embed(["a"])
    await CachedEmbedder(inner, cache).embed(["a"], kind=TextKind.QUERY)
    await CachedEmbedder(other, cache).embed(["a"])
    assert (inner.asked, other.asked) == (["a", "a"], ["a"])


async def test_it_is_otherwise_the_embedder_behind_it(cache: EmbeddingCache) -> None:
    inner = HashEmbedder(name="n", dimensions=3, tokenizer=Path("t"), at_once=7)
    embedder = CachedEmbedder(inner, cache)
    assert (embedder.name, embedder.dimensions, embedder.tokenizer, embedder.at_once) == ("n", 3, Path("t"), 7)
    assert (await embedder.embed([])).shape == (0, 3)


async def test_a_failure_is_passed_on_and_nothing_is_kept(cache: EmbeddingCache) -> None:
    class Broken(HashEmbedder):
        async def embed(self, texts: object, *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
            raise ModelError("broken")

    with pytest.raises(ModelError):
        await CachedEmbedder(Broken(), cache).embed(["a"])
    working = HashEmbedder()
    await CachedEmbedder(working, cache).embed(["a"])
    assert working.asked == ["a"]


async def test_a_change_of_the_caller_changes_nothing_kept(cache: EmbeddingCache) -> None:
    embedder = CachedEmbedder(HashEmbedder(), cache)
    kept = (await embedder.embed(["a"])).copy()
    for _ in range(2):
        (await embedder.embed(["a"]))[:] = 0
    assert np.array_equal(await embedder.embed(["a"]), kept)


async def test_vectors_of_a_model_that_changed_behind_its_name_are_not_mixed(cache: EmbeddingCache) -> None:
    await CachedEmbedder(HashEmbedder(dimensions=8), cache).embed(["a", "b"])
    changed = CachedEmbedder(HashEmbedder(dimensions=9), cache)
    assert (await changed.embed(["a", "c"])).shape == (2, 9)
    assert (await changed.embed(["a", "c"])).shape == (2, 9)


@pytest.mark.skipif(
    weights.find(NAME, cache=weights.cache_folder()) is None, reason=f"run: intelforge models pull {NAME}"
)
async def test_a_hit_is_at_least_ten_times_faster(tmp_path: Path) -> None:
    """From memory, and from the file by another process."""
    path, model = tmp_path / "embeddings.db", open_embedder(f"onnx:{NAME}")
    queries = [f"how do I cancel task number {number}?" for number in range(30)]
    first = CachedEmbedder(model, EmbeddingCache(path))
    await model.embed(["warm"])
    await first.embed(["warm"])
    missed = [await _seconds(first, query) for query in queries]
    hit = [await _seconds(first, query) for query in queries]
    second = CachedEmbedder(model, EmbeddingCache(path))
    await second.embed(["warm"])
    stored = [await _seconds(second, query) for query in queries]
    assert second.cache.counts.misses == 0
    assert median(missed) > 10 * median(hit)
    assert median(missed) > 10 * median(stored)
    await first.cache.close()
    await second.cache.close()


async def _seconds(embedder: CachedEmbedder, text: str) -> float:
    began = time.perf_counter()
    await embedder.embed([text])
    return time.perf_counter() - began

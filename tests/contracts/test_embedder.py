"""What every embedder promises."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from intelforge.index import weights
from intelforge.index.embedders.cache import EmbeddingCache
from intelforge.index.embedders.cached import CachedEmbedder
from intelforge.index.model_api import Patience
from intelforge.index.onnx import open_embedder
from intelforge.index.protocol import Embedder, TextKind
from intelforge.testing.embedder import HashEmbedder
from intelforge.testing.embedding_server import EmbeddingServer
from intelforge.testing.remote_embedder import Opener

NAME = "all-MiniLM-L6-v2"
HERE = weights.find(NAME, cache=weights.cache_folder()) is not None
REMOTE = ["openai:m", "together:m", "mistral:m", "cohere:m", "ollama:m", "tei:SERVER", "SERVER/v1#m"]
URLS = [
    "hash",
    pytest.param(f"onnx:{NAME}", marks=pytest.mark.skipif(not HERE, reason=f"run: intelforge models pull {NAME}")),
    *REMOTE,
]
TEXTS = ["carrots", "", "def wait_for(task): ...", "größe — 東京 🦓", "word " * 2000, "\ud800", "carrots"]


@pytest.fixture(params=["bare", "cached"])
async def wrapped(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EmbeddingCache | None]:
    cache = EmbeddingCache(tmp_path / "embeddings.db") if request.param == "cached" else None
    yield cache
    if cache:
        await cache.close()


@pytest.fixture(params=URLS)
async def embedder(request: pytest.FixtureRequest, wrapped: EmbeddingCache | None) -> AsyncIterator[Embedder]:
    async with EmbeddingServer(max_words=400) as server, server.client() as client:
        opener = Opener(server=server, client=client, patience=Patience())
        bare: Embedder
        if request.param == "hash":
            bare = HashEmbedder()
        elif request.param.startswith("onnx:"):
            bare = open_embedder(request.param)
        else:
            bare = opener(request.param)
        yield CachedEmbedder(bare, wrapped) if wrapped else bare


async def test_any_texts_have_unit_vectors_in_their_order(embedder: Embedder) -> None:
    vectors = await embedder.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)
    assert vectors[0] @ vectors[-1] > 0.98
    alone = await embedder.embed(TEXTS[:1])
    assert alone[0] @ vectors[0] > 0.98
    assert abs(float(alone[0] @ vectors[2])) < 0.98


async def test_no_texts_have_no_vectors(embedder: Embedder) -> None:
    assert (await embedder.embed([])).shape == (0, embedder.dimensions)


async def test_a_query_has_a_vector_as_long_as_a_document(embedder: Embedder) -> None:
    query = await embedder.embed(["carrots"], kind=TextKind.QUERY)
    document = await embedder.embed(["carrots"], kind=TextKind.DOCUMENT)
    assert query.shape == document.shape == (1, embedder.dimensions)


async def test_calls_at_once_do_not_mix(embedder: Embedder) -> None:
    texts = [f"text number {number}" for number in range(12)]
    together = await embedder.embed(texts)
    apart = await asyncio.gather(*(embedder.embed([text]) for text in texts))
    assert min(float(row @ one[0]) for row, one in zip(together, apart, strict=True)) > 0.98


async def test_it_says_what_it_is(embedder: Embedder) -> None:
    assert embedder.name == embedder.name.strip() != ""
    assert embedder.at_once > 0
    assert embedder.tokenizer is None or embedder.tokenizer.is_file()

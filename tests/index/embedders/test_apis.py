"""Each API as it is documented, over a real socket."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.core.registry import backends
from intelforge.index.protocol import TextKind
from intelforge.testing.embedding_server import EmbeddingServer, vector_of
from intelforge.testing.remote_embedder import KEY, Opener

URLS = [
    "openai:my-model",
    "together:my/model",
    "mistral:my-model",
    "ollama:my-model",
    "cohere:my-model",
    "tei:SERVER",
    "SERVER/v1#my-model",
]
TEXTS = ["carrots", "wait_for(task)", "größe — 東京", "carrots"]


@pytest.mark.parametrize("url", URLS)
async def test_vectors_have_unit_length_and_the_order_of_the_texts(url: str, open_embedder: Opener) -> None:
    embedder = open_embedder(url)
    vectors = await embedder.embed(TEXTS)
    expected = np.stack([vector_of(text) for text in TEXTS])
    assert vectors == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-5)
    assert vectors.dtype == np.float32
    assert embedder.dimensions == 8
    assert (await embedder.embed([])).shape == (0, 8)


COHERE = {"texts": ["one"], "embedding_types": ["float"], "truncate": "NONE"}
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "openai:text-x?dimensions=8",
        "api.openai.com/v1/embeddings",
        {"model": "text-x", "input": ["one"], "encoding_format": "base64", "dimensions": 8},
    ),
    ("together:some/model", "api.together.xyz/v1/embeddings", {"model": "some/model", "input": ["one"]}),
    (
        "mistral:codestral-x?dimensions=8",
        "api.mistral.ai/v1/embeddings",
        {"model": "codestral-x", "input": ["one"], "output_dimension": 8},
    ),
    ("ollama:some:v1.5", "SERVER/api/embed", {"model": "some:v1.5", "input": ["one"], "truncate": False}),
    (
        "cohere:embed-x?dimensions=8",
        "api.cohere.com/v2/embed",
        {"model": "embed-x", "input_type": "search_document", "output_dimension": 8, **COHERE},
    ),
    ("tei:SERVER", "SERVER/embed", {"inputs": ["one"], "truncate": False, "normalize": True}),
    ("SERVER/v1#a/b", "SERVER/v1/embeddings", {"model": "a/b", "input": ["one"]}),
]


@pytest.mark.parametrize(("url", "place", "body"), REQUESTS)
async def test_a_request_is_what_the_api_documents(
    url: str, place: str, body: object, open_embedder: Opener, server: EmbeddingServer
) -> None:
    await open_embedder(url).embed(["one"])
    [request] = server.requests
    here = request.headers["host"].replace(server.url.removeprefix("http://"), "SERVER")
    assert (request.method, here + request.path, request.json) == ("POST", place, body)
    assert request.headers.get("authorization") == (None if url.startswith("ollama") else f"Bearer {KEY}")


async def test_cohere_is_told_what_a_query_is(open_embedder: Opener, server: EmbeddingServer) -> None:
    await open_embedder("cohere:embed-x").embed(["one"], kind=TextKind.QUERY)
    assert server.requests[0].json == {"model": "embed-x", "input_type": "search_query", **COHERE}


@pytest.mark.parametrize("url", URLS)
async def test_each_request_is_metered_with_what_the_server_counted(url: str, open_embedder: Opener) -> None:
    embedder = open_embedder(url)
    await embedder.embed(["one", "two"])
    [entry] = open_embedder.entries
    assert entry.settled
    assert entry.call.local == url.startswith(("ollama", "tei", "SERVER"))
    assert entry.spent.input_tokens == (0 if url.startswith("tei") else 10)
    assert entry.call.tokens > 0


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("openai:m", "OPENAI_API_KEY"),
        ("together:m", "TOGETHER_API_KEY"),
        ("mistral:m", "MISTRAL_API_KEY"),
        ("cohere:m", "COHERE_API_KEY or CO_API_KEY"),
    ],
)
def test_a_missing_key_names_its_variable(url: str, variable: str, open_embedder: Opener) -> None:
    with pytest.raises(ModelError, match=f"{variable} is not set") as caught:
        open_embedder(url, environment={})
    assert caught.value.error_code is ErrorCode.REFUSED


async def test_cohere_takes_its_key_by_its_other_name(open_embedder: Opener, server: EmbeddingServer) -> None:
    await open_embedder("cohere:m", environment={"CO_API_KEY": "other"}).embed(["x"])
    assert server.requests[0].headers["authorization"] == "Bearer other"


@pytest.mark.parametrize("url", ["tei:SERVER", "SERVER/v1#m"])
async def test_a_server_of_ones_own_needs_no_key(url: str, open_embedder: Opener, server: EmbeddingServer) -> None:
    await open_embedder(url, environment={}).embed(["x"])
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("openai:", "names no model"),
        ("ollama:?dimensions=3", "names no model"),
        ("SERVER/v1", "names no model"),
        ("openai:m?size=3", "unknown option 'size'"),
        ("openai:m?dimensions=many", "dimensions is 'many'"),
        ("openai:m?max_tokens=0", "max_tokens is '0'"),
        ("tei:ftp://host", "must be an http or https URL"),
        ("tei:", "must be an http or https URL"),
        ("http://user:pw@host/v1#m", "without a password"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(url: str, said: str, open_embedder: Opener) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        open_embedder(url)
    assert "pw" not in str(caught.value)


def test_the_key_is_in_no_description(open_embedder: Opener) -> None:
    embedder = open_embedder("openai:m")
    assert KEY not in repr(vars(embedder)) + repr(vars(embedder._requests)) + embedder.name


def test_names_tell_apart_what_is_not_comparable(open_embedder: Opener) -> None:
    urls = [*URLS, "openai:my-model?dimensions=8", "openai:my-model?query_prefix=q", "SERVER/v2#my-model"]
    assert len({open_embedder(url).name for url in urls}) == len(urls)
    assert open_embedder("openai:my-model?max_tokens=9").name == "openai:my-model"
    assert len(open_embedder(f"SERVER/{'long/' * 100}v1#m").name) <= 255


async def test_prefixes_of_a_known_model_go_before_each_text(open_embedder: Opener, server: EmbeddingServer) -> None:
    server.dimensions = 768
    embedder = open_embedder("ollama:nomic-embed-text")
    assert embedder.dimensions == 768
    await embedder.embed(["one"])
    await embedder.embed(["one"], kind=TextKind.QUERY)
    assert server.texts == [["search_document: one"], ["search_query: one"]]


async def test_prefixes_can_be_given(open_embedder: Opener, server: EmbeddingServer) -> None:
    embedder = open_embedder("SERVER/v1?query_prefix=ask:%20&document_prefix=#e5-small")
    server.dimensions = 384
    await embedder.embed(["one"])
    await embedder.embed(["one"], kind=TextKind.QUERY)
    assert server.texts == [["one"], ["ask: one"]]


def test_every_scheme_is_in_the_page_about_embedders() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "embedders.md").read_text(encoding="utf-8")
    assert [scheme for scheme in backends("embedders") if f"`{scheme}:" not in page] == []


@pytest.mark.parametrize(
    ("url", "ollama", "local"),
    [
        ("openai:m", "", False),
        ("together:m", "", False),
        ("mistral:m", "", False),
        ("cohere:m", "", False),
        ("tei:http://127.0.0.1:8080", "", True),
        ("tei:http://10.0.0.7:8080", "", False),
        ("http://localhost:1234/v1#m", "", True),
        ("https://embed.example.com/v1#m", "", False),
        ("ollama:m", "http://127.0.0.1:11434", True),
        ("ollama:m", "http://gpu.example.com:11434", False),
        ("ollama:m:cloud", "http://127.0.0.1:11434", False),
    ],
)
def test_it_says_whether_texts_stay_on_this_machine(url: str, ollama: str, local: bool, open_embedder: Opener) -> None:
    assert open_embedder(url, ollama_url=lambda: ollama).local is local

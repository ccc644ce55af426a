"""Each API as it is documented, over a real socket."""

from pathlib import Path
from typing import Any

import pytest

from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.core.registry import backends
from intelforge.index.rerankers.url import hosts_of
from intelforge.security.egress import Egress
from intelforge.testing.remote_reranker import RerankerOpener
from intelforge.testing.rerank_server import KEY, RerankServer

ASKED = {"query": "q", "documents": ["one", "two"]}
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("cohere:rerank-v3.5", "api.cohere.com/v2/rerank", {"model": "rerank-v3.5", **ASKED}),
    (
        "jina:jina-reranker-v3",
        "api.jina.ai/v1/rerank",
        {"model": "jina-reranker-v3", "return_documents": False, **ASKED},
    ),
    ("voyage:rerank-2.5", "api.voyageai.com/v1/rerank", {"model": "rerank-2.5", **ASKED}),
    ("tei:SERVER", "SERVER/rerank", {"query": "q", "texts": ["one", "two"], "truncate": True}),
    ("SERVER/v1#BAAI/bge-reranker", "SERVER/v1/rerank", {"model": "BAAI/bge-reranker", **ASKED}),
    ("SERVER", "SERVER/rerank", ASKED),
    ("SERVER/v1/rerank#m", "SERVER/v1/rerank", {"model": "m", **ASKED}),
]


@pytest.mark.parametrize(("url", "place", "body"), REQUESTS)
async def test_a_request_is_what_the_api_documents(
    url: str, place: str, body: object, open_reranker: RerankerOpener, server: RerankServer
) -> None:
    await open_reranker(url).score("q", ["one", "two"])
    [request] = server.requests
    here = request.headers["host"].replace(server.url.removeprefix("http://"), "SERVER")
    assert (request.method, here + request.path, request.json) == ("POST", place, body)
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("url", "model", "counted", "cost"),
    [
        ("cohere:m", "cohere:m", None, None),
        ("jina:m", "jina:m", 15, None),
        ("voyage:m", "voyage:m", 15, None),
        ("tei:SERVER", "tei:SERVER/unnamed", None, 0.0),
        ("SERVER#m", "compatible:SERVER/m", 15, 0.0),
    ],
)
async def test_the_ledger_has_what_the_server_counted(
    url: str, model: str, counted: int | None, cost: float | None, open_reranker: RerankerOpener
) -> None:
    await open_reranker(url).score("q", ["one", "two"])
    [row] = open_reranker.ledger.calls
    assert (row.model, row.cost_usd) == (
        model.replace("SERVER", open_reranker.server.url.removeprefix("http://")),
        cost,
    )
    assert row.input_tokens == counted or (counted is None and row.input_tokens > 0)


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("cohere:m", "COHERE_API_KEY or CO_API_KEY"),
        ("jina:m", "JINA_API_KEY"),
        ("voyage:m", "VOYAGE_API_KEY"),
    ],
)
def test_a_missing_key_names_its_variable(url: str, variable: str, open_reranker: RerankerOpener) -> None:
    with pytest.raises(
        ModelError, match=f"the reranker .* {variable} is not set; .*config set reranker none:"
    ) as caught:
        open_reranker(url, environment={})
    assert caught.value.error_code is ErrorCode.REFUSED


@pytest.mark.parametrize("url", ["tei:SERVER", "SERVER/v1#m"])
async def test_a_server_of_ones_own_needs_no_key(url: str, open_reranker: RerankerOpener, server: RerankServer) -> None:
    with pytest.raises(ModelError, match="refused the key"):
        await open_reranker(url, environment={}).score("q", ["one"])
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("cohere:", "names no model"),
        ("jina: ", "names no model"),
        ("voyage:m?top_k=3", "has options"),
        ("SERVER/v1?top_n=3#m", "has options"),
        ("tei:ftp://host", "must be an http or https URL"),
        ("tei:", "must be an http or https URL"),
        ("http://user:pw@host/v1#m", "without a password"),
        ("onnx:", "names no folder"),
        ("late:something", "has none of its own"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(
    url: str, said: str, open_reranker: RerankerOpener
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        open_reranker(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("tei:http://box:8080", ("box:8080",)),
        ("https://box/v1#m", ("box:443",)),
        ("http://[::1]/v1#m", ("[::1]:80",)),
        ("judge:http://box/v1#m", ("llm:http://box/v1#m",)),
        ("judge:", ("llm:",)),
        ("cohere:m", ()),
        ("onnx:./model", ()),
        ("late:", ()),
        ("none", ()),
    ],
)
def test_the_hosts_that_a_url_names(url: str, hosts: tuple[str, ...]) -> None:
    assert hosts_of(url, language_model_hosts=lambda url: (f"llm:{url}",)) == hosts


async def test_a_private_host_is_reached_only_when_the_user_named_it(
    open_reranker: RerankerOpener, server: RerankServer
) -> None:
    url = f"tei:{server.url}"
    async with Egress(allow_hosts=hosts_of(url, language_model_hosts=lambda url: ())).client() as guarded:
        assert (await open_reranker(url, client=lambda: guarded).score("q", ["x"])).shape == (1,)
    async with Egress().client() as guarded:
        with pytest.raises(ModelError, match="allow_hosts") as caught:
            await open_reranker(url, client=lambda: guarded).score("q", ["x"])
    assert caught.value.error_code is ErrorCode.BLOCKED


def test_late_interaction_needs_an_encoder(open_reranker: RerankerOpener) -> None:
    assert open_reranker("late:", encoder=None) is None


def test_every_scheme_is_in_the_page_about_rerankers() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "rerankers.md").read_text(encoding="utf-8")
    assert [scheme for scheme in backends("rerankers") if f"`{scheme}:" not in page] == []


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("cohere:m", False),
        ("jina:m", False),
        ("voyage:m", False),
        ("tei:http://127.0.0.1:8080", True),
        ("tei:http://10.0.0.7:8080", False),
        ("http://localhost:8000/v1#m", True),
        ("https://rerank.example.com/v1#m", False),
        ("judge:http://127.0.0.1:8000/v1#m", True),
        ("judge:mock:, http://127.0.0.1:8000/v1#m", True),
        ("judge:openai:m", False),
        ("judge:mock:, openai:m", False),
    ],
)
async def test_it_says_whether_texts_stay_on_this_machine(url: str, local: bool, open_reranker: RerankerOpener) -> None:
    assert await open_reranker(url).local() is local

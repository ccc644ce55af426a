"""What all remote embedders share: batches, pieces, retries, and errors in plain words."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import httpx2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.index.embedders import remote
from intelforge.index.embedders.pieces import estimated_tokens, split
from intelforge.index.embedders.remote import RemoteEmbedder
from intelforge.index.embedders.requests import Requests
from intelforge.index.embedders.url import hosts_of
from intelforge.index.protocol import TextKind, Vectors
from intelforge.security.egress import Egress
from intelforge.testing.embedding_server import EmbeddingServer, vector_of
from intelforge.testing.model_server import ServerReply, ServerRequest, error_reply, json_reply
from intelforge.testing.remote_embedder import KEY, Opener

OK = json_reply({"object": "list", "data": [{"index": 0, "embedding": [3.0, 4.0]}], "usage": {"prompt_tokens": 1}})


def unit(vector: Vectors) -> Vectors:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


PASSING: list[tuple[ServerReply, float]] = [
    (error_reply(500, "Oops"), 0.25),
    (error_reply(503, "Busy"), 0.25),
    (error_reply(429, "Rate limit reached", headers={"retry-after": "7"}), 7.0),
    (error_reply(429, "Slow down", headers={"retry-after": "Thu, 01 Jan 2026 00:00:09 GMT"}), 9.0),
    (error_reply(429, "Slow down", headers={"retry-after": "soon"}), 0.25),
]


@pytest.mark.parametrize(("reply", "waited"), PASSING)
async def test_a_failure_that_may_pass_is_tried_again(
    reply: ServerReply, waited: float, open_embedder: Opener, server: EmbeddingServer, naps: list[float]
) -> None:
    server.failures = [reply, OK]
    vectors = await open_embedder("openai:m").embed(["x"])
    assert vectors.tolist() == [pytest.approx([0.6, 0.8])]
    assert naps == [waited]
    assert [entry.settled for entry in open_embedder.entries] == [False, True]


async def test_a_connection_that_breaks_is_tried_again(
    open_embedder: Opener, server: EmbeddingServer, naps: list[float]
) -> None:
    server.failures = [ServerReply(body=b"{}", headers={"transfer-encoding": "chunked"}), OK]
    assert (await open_embedder("openai:m").embed(["x"])).shape == (1, 2)
    assert len(naps) == 1


async def test_attempts_end_and_the_waits_grow(
    open_embedder: Opener, server: EmbeddingServer, naps: list[float]
) -> None:
    server.failures = [error_reply(502, "Bad gateway")] * 9
    with pytest.raises(ModelError, match="HTTP 502") as caught:
        await open_embedder("openai:m").embed(["x"])
    assert caught.value.error_code is ErrorCode.MODEL_FAILED
    assert naps == [0.25, 0.5, 1.0, 2.0]
    assert len(server.requests) == 5


async def test_a_query_is_tried_only_twice_for_someone_waits(
    open_embedder: Opener, server: EmbeddingServer, naps: list[float]
) -> None:
    server.failures = [error_reply(500, "Oops")] * 9
    with pytest.raises(ModelError):
        await open_embedder("openai:m").embed(["x"], kind=TextKind.QUERY)
    assert len(server.requests) == 2


async def test_a_server_that_asks_to_wait_for_an_hour_is_not_waited_for(
    open_embedder: Opener, server: EmbeddingServer, naps: list[float]
) -> None:
    server.failures = [error_reply(429, "Later", headers={"retry-after": "3600"})]
    with pytest.raises(ModelError, match="HTTP 429") as caught:
        await open_embedder("openai:m").embed(["x"])
    assert naps == []
    assert (caught.value.error_code, caught.value.retry_after) == (ErrorCode.RATE_LIMITED, 3600)


LASTING: list[tuple[ServerReply, ErrorCode, str]] = [
    (error_reply(401, f"Incorrect API key provided: {KEY}"), ErrorCode.REFUSED, "refused the key"),
    (error_reply(403, "Not for you"), ErrorCode.REFUSED, "refused the key"),
    (json_reply({"error": 'model "m" not found, try pulling it first'}, status=404), ErrorCode.MISSING_MODEL, "pull"),
    (error_reply(429, "No credit", code="insufficient_quota"), ErrorCode.REFUSED, "no credit left"),
    (error_reply(400, f"Bad {KEY}"), ErrorCode.REFUSED, "refused the request"),
    (ServerReply(status=302, headers={"location": "http://elsewhere/"}), ErrorCode.REFUSED, "refused the request"),
    (ServerReply(body=b'{"data": [{"ind'), ErrorCode.MODEL_FAILED, "no usable reply"),
    (ServerReply(body=b"<html>"), ErrorCode.MODEL_FAILED, "no usable reply"),
    (json_reply({"models": []}), ErrorCode.MODEL_FAILED, "no usable reply"),
    (json_reply(["data"]), ErrorCode.MODEL_FAILED, "no usable reply"),
    (json_reply({"data": [{"index": 0, "embedding": "?"}]}), ErrorCode.MODEL_FAILED, "no usable reply"),
    (json_reply({"data": [{"index": 0, "embedding": ["a"]}]}), ErrorCode.MODEL_FAILED, "no usable reply"),
    (json_reply({"data": [{"index": 0, "embedding": [float("nan")]}]}), ErrorCode.MODEL_FAILED, "no usable reply"),
    (json_reply({"data": [{"index": 1, "embedding": [1.0]}]}), ErrorCode.MODEL_FAILED, "no usable reply"),
    (json_reply({"data": []}), ErrorCode.MODEL_FAILED, "no usable reply"),
    (
        json_reply({"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]}),
        ErrorCode.MODEL_FAILED,
        "2 vectors for 1 texts",
    ),
    (json_reply({"data": [{"index": 0, "embedding": [0.0, 0.0]}]}), ErrorCode.MODEL_FAILED, "without direction"),
]


@pytest.mark.parametrize(("reply", "code", "said"), LASTING)
async def test_a_failure_that_lasts_is_told_at_once_in_one_line_without_the_key(
    reply: ServerReply, code: ErrorCode, said: str, open_embedder: Opener, naps: list[float]
) -> None:
    open_embedder.server.failures = [reply]
    with pytest.raises(ModelError, match=said) as caught:
        await open_embedder("openai:m").embed(["secret text"])
    assert caught.value.error_code is code
    assert caught.value.may_cost == (reply.status == 200 and "direction" not in said)
    assert naps == []
    assert [part for part in (KEY, "secret text", "\n") if part in str(caught.value)] == []


async def test_a_server_that_hangs_is_given_up(
    open_embedder: Opener, server: EmbeddingServer, naps: list[float]
) -> None:
    open_embedder.client.timeout = httpx2.Timeout(20, read=0.05)
    server.failures = [ServerReply(hang=True)] * 9
    with pytest.raises(ModelError, match="did not answer in time") as caught:
        await open_embedder("openai:m").embed(["x"])
    assert caught.value.error_code is ErrorCode.TIMED_OUT
    assert caught.value.may_cost
    assert len(naps) == 4


async def test_a_server_that_breaks_off_may_have_done_the_work(open_embedder: Opener, server: EmbeddingServer) -> None:
    server.failures = [ServerReply(reset=True)] * 9
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        await open_embedder("openai:m").embed(["x"])
    assert caught.value.may_cost


async def test_a_query_does_not_wait_for_a_server_that_hangs(
    open_embedder: Opener, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "QUERY_SECONDS", 0.05)
    server.failures = [ServerReply(hang=True)]
    with pytest.raises(ModelError, match="did not embed the query within"):
        await open_embedder("openai:m").embed(["x"], kind=TextKind.QUERY)


async def test_vectors_of_another_length_are_refused(
    open_embedder: Opener, server: EmbeddingServer, naps: list[float]
) -> None:
    known = open_embedder("openai:text-embedding-3-small")
    with pytest.raises(ModelError, match="8 dimensions instead of 1536") as caught:
        await known.embed(["x"])
    assert caught.value.error_code is ErrorCode.UNSUPPORTED
    unknown = open_embedder("openai:m")
    await unknown.embed(["x"])
    server.dimensions = 9
    with pytest.raises(ModelError, match="9 dimensions instead of 8"):
        await unknown.embed(["x"])


@pytest.mark.parametrize("url", ["openai:m", "ollama:m", "cohere:m", "tei:SERVER"])
async def test_what_the_server_finds_too_long_is_sent_in_pieces(
    url: str, open_embedder: Opener, server: EmbeddingServer
) -> None:
    server.max_words, server.most_texts = 100, 4
    long = " ".join(f"word{number}" for number in range(180))
    short = [f"short text {number}" for number in range(6)]
    vectors = await open_embedder(url).embed([*short, long])
    assert [v.tolist() for v in vectors[:6]] == [pytest.approx(unit(vector_of(text)).tolist()) for text in short]
    sent = {piece for texts in server.texts for piece in texts if piece in long}
    pieces = sorted((piece for piece in sent if 0 < len(piece.split()) <= 100), key=long.index)
    assert "".join(pieces) == long
    mean = sum(estimated_tokens(piece) * unit(vector_of(piece)) for piece in pieces)
    assert vectors[6] == pytest.approx(unit(np.asarray(mean)), abs=1e-5)


async def test_a_text_longer_than_the_model_reads_is_split_before_it_is_sent(
    open_embedder: Opener, server: EmbeddingServer
) -> None:
    text = " ".join(f"word{number}" for number in range(300))
    [vector] = await open_embedder("SERVER/v1?max_tokens=256#m").embed([text])
    pieces = sorted((piece for texts in server.texts for piece in texts), key=text.index)
    assert len(pieces) > 1
    assert "".join(pieces) == text
    assert all(estimated_tokens(piece) <= 256 for piece in pieces)
    mean = sum(estimated_tokens(piece) * unit(vector_of(piece)) for piece in pieces)
    assert vector == pytest.approx(unit(np.asarray(mean)), abs=1e-5)


async def test_a_refusal_that_no_splitting_helps_ends(open_embedder: Opener, server: EmbeddingServer) -> None:
    server.max_words = 0
    with pytest.raises(ModelError, match="cannot read so much") as caught:
        await open_embedder("openai:m").embed(["word " * 200] * 5)
    assert caught.value.error_code is ErrorCode.TOO_LARGE
    assert len(server.requests) < 12


async def test_many_texts_go_in_batches_by_length_several_at_once_and_come_back_in_order(
    open_embedder: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, sent = 0, 0, list[Sequence[str]]()

    class Slow(Requests):
        async def send(self, texts: Sequence[str], kind: TextKind) -> Vectors:
            nonlocal running, most
            sent.append(texts)
            running, most = running + 1, max(most, running + 1)
            for _ in range(len(sent) * 5 % 7 + 1):
                await asyncio.sleep(0)
            running -= 1
            return np.stack([vector_of(text) for text in texts])

    bare = open_embedder("tei:SERVER")
    embedder = RemoteEmbedder(bare.endpoint, Slow(bare.endpoint, bare._requests._context))
    texts = [f"text {number} " + "long " * (number * 37 % 101) for number in range(500)]
    vectors = await embedder.embed(texts)
    assert vectors == pytest.approx(np.stack([unit(vector_of(text)) for text in texts]), abs=1e-6)
    assert most == remote.CONCURRENT
    assert max(map(len, sent)) == 32
    assert all(max(map(len, later)) <= min(map(len, earlier)) + 3 for earlier, later in pairwise(sent))


async def test_the_first_failure_ends_the_requests_beside_it(open_embedder: Opener, server: EmbeddingServer) -> None:
    hanging = [ServerReply(hang=True)] * 3
    server.failures = [*hanging, error_reply(401, "No")]
    with pytest.raises(ModelError, match="refused the key"):
        await asyncio.wait_for(open_embedder("tei:SERVER").embed(["x"] * 128), 20)
    assert len(server.requests) == 4


async def test_cancelling_ends_the_request_and_its_entry(open_embedder: Opener, server: EmbeddingServer) -> None:
    server.failures = [ServerReply(hang=True)]
    task = asyncio.create_task(open_embedder("openai:m").embed(["x"]))
    async with asyncio.timeout(20):
        while not server.requests:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [entry.settled for entry in open_embedder.entries] == [False]


@pytest.mark.parametrize("text", ["", " \n", "\ud800", "\x00", "🦓" * 500])
async def test_any_text_has_a_vector(text: str, open_embedder: Opener) -> None:
    vectors = await open_embedder("openai:m").embed([text, "other"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)


async def test_a_private_host_is_reached_only_when_the_user_named_it(
    open_embedder: Opener, server: EmbeddingServer, naps: list[float]
) -> None:
    url = f"tei:{server.url}"
    async with Egress(allow_hosts=hosts_of(url, ollama_url=str)).client() as guarded:
        assert (await open_embedder(url, client=lambda: guarded).embed(["x"])).shape == (1, 8)
    async with Egress().client() as guarded:
        with pytest.raises(ModelError, match="allow_hosts") as caught:
            await open_embedder(url, client=lambda: guarded).embed(["x"])
    assert caught.value.error_code is ErrorCode.BLOCKED
    assert naps == []


async def test_a_server_that_is_not_there_is_named(open_embedder: Opener, naps: list[float]) -> None:
    async with httpx2.AsyncClient(trust_env=False) as direct:
        embedder = open_embedder("tei:http://127.0.0.1:9", client=lambda: direct)
        with pytest.raises(ModelError, match=r"tei:http://127\.0\.0\.1:9 cannot be reached") as caught:
            await embedder.embed(["x"])
    assert caught.value.error_code is ErrorCode.UNREACHABLE
    assert not caught.value.may_cost


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("ollama:m", ("127.0.0.1:11434",)),
        ("tei:http://box:8080#m", ("box:8080",)),
        ("https://box/v1#m", ("box:443",)),
        ("http://[::1]/v1#m", ("[::1]:80",)),
        ("openai:m", ()),
        ("onnx:all-MiniLM-L6-v2", ()),
        ("none:", ()),
    ],
)
def test_the_hosts_that_a_url_names(url: str, hosts: tuple[str, ...]) -> None:
    assert hosts_of(url, ollama_url=lambda: "http://127.0.0.1:11434") == hosts


@given(st.text(max_size=400), st.integers(3, 40))
def test_pieces_are_the_text_and_fit(text: str, most: int) -> None:
    pieces = split(text, most)
    assert "".join(pieces) == text
    assert all(estimated_tokens(piece) <= most or len(piece) == 1 for piece in pieces)


@given(st.lists(st.integers(1, 9000), max_size=300))
def test_batches_hold_every_text_once_within_both_limits(weights: list[int]) -> None:
    batches = list(remote.batches(weights, most_texts=32))
    assert sorted(row for rows in batches for row in rows) == list(range(len(weights)))
    for rows in batches:
        assert len(rows) <= 32
        assert len(rows) == 1 or sum(weights[row] for row in rows) <= remote.BATCH_TOKENS


def test_every_request_of_the_double_is_a_post(server: EmbeddingServer) -> None:
    refused = server.respond(ServerRequest(method="GET", path="/embed", headers={}, body=b""))
    assert refused.status == 404

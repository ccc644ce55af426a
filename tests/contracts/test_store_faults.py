"""What every vector store that is a server says when that server is away, slow, full or not what it should be."""

import socket
from importlib import import_module
from pathlib import Path

import pytest

from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.core.registry import load_backend
from intelforge.index.protocol import Held
from intelforge.index.server_url import KEY
from intelforge.testing.model_server import ServerReply, ServerRequest
from intelforge.testing.threaded_server import served

OVER_HTTP = ["qdrant", "chroma", "weaviate"]
FULL_DISK = b'{"status": {"error": "Service internal error: No space left on device (os error 28)"}}'
REPLIES = {
    "a key that is not taken": (ServerReply(status=401, body=b'{"error": "no"}'), ErrorCode.REFUSED),
    "a key that may not": (ServerReply(status=403, body=b'{"error": "no"}'), ErrorCode.REFUSED),
    "a server that is starting": (ServerReply(status=503), ErrorCode.UNREACHABLE),
    "a full disk": (ServerReply(status=507), ErrorCode.DISK_FULL),
    "a full disk called an error": (ServerReply(status=500, body=FULL_DISK), ErrorCode.DISK_FULL),
    "an error": (ServerReply(status=500, body=b'{"error": "shard is gone"}'), ErrorCode.DAMAGED),
    "too large a request": (ServerReply(status=413), ErrorCode.TOO_LARGE),
    "another kind of server": (ServerReply(body=b"<html>It works!</html>"), ErrorCode.DAMAGED),
    "no reply": (ServerReply(hang=True), ErrorCode.TIMED_OUT),
}


async def fault(url: str, root: Path) -> IntelForgeError:
    """What the first use of the store raises."""
    with pytest.raises(IntelForgeError) as caught:
        async with load_backend("vector_stores", url)(url, root=root) as store:
            assert await store.count() == Held(0, 0)
    return caught.value


@pytest.mark.parametrize("said", REPLIES)
@pytest.mark.parametrize("scheme", OVER_HTTP)
async def test_a_reply_of_the_server_becomes_a_code_and_a_hint(
    scheme: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "hidden")
    for name in ("rest", "qdrant_client"):
        monkeypatch.setattr(import_module(f"intelforge.index.{name}"), "TIMEOUT", 0.2)
    reply, code = REPLIES[said]

    def answer(request: ServerRequest) -> ServerReply:
        return reply

    with served(answer) as server:
        error = await fault(server.replace("http", scheme), tmp_path)
    assert error.error_code is code
    assert error.hint
    assert server.replace("http", scheme) in str(error)
    assert "hidden" not in str(error)


@pytest.mark.parametrize(
    "url", ["postgresql://me:hidden@127.0.0.1:{port}/x", *(f"{scheme}://127.0.0.1:{{port}}" for scheme in OVER_HTTP)]
)
async def test_a_server_that_is_down_is_named(url: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await fault(url.format(port=free.getsockname()[1]), tmp_path)
    assert error.error_code is ErrorCode.UNREACHABLE
    assert "127.0.0.1" in str(error)
    assert error.hint
    assert "hidden" not in str(error)

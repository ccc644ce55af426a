from pathlib import Path

import pytest

from intelforge.core.errors import ConfigError, ErrorCode, StorageError
from intelforge.core.registry import load_backend
from intelforge.index.server_url import KEY, Server, read_server, refused
from intelforge.testing.model_server import ServerReply, ServerRequest
from intelforge.testing.threaded_server import served


@pytest.mark.parametrize(
    ("url", "expected", "http"),
    [
        ("qdrant://box", Server(scheme="qdrant", host="box", port=6333), "http://box:6333"),
        ("qdrant://box:1?tls=true", Server(scheme="qdrant", host="box", port=1, tls=True), "https://box:1"),
        ("qdrant://[::1]:7", Server(scheme="qdrant", host="::1", port=7), "http://[::1]:7"),
    ],
)
def test_a_server_is_named_by_host_and_port(url: str, expected: Server, http: str) -> None:
    assert read_server(url, port=6333, secrets={}) == expected
    assert expected.http == http


@pytest.mark.parametrize(
    "url",
    [
        "qdrant://",
        "qdrant://box:port",
        "qdrant://me:hidden@box",
        "qdrant://box?key=hidden",
        "qdrant://[hidden",
        "qdrant://box?hidden",
    ],
)
def test_a_url_that_cannot_be_read_or_holds_a_key_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match=KEY) as caught:
        read_server(url, port=6333, secrets={})
    assert "hidden" not in str(caught.value)


def test_the_key_is_among_the_secrets_or_in_the_environment_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "hidden too")
    server = read_server("qdrant://box", port=6333, secrets={KEY: "hidden"})
    assert (server.key, read_server("qdrant://box", port=6333).key) == ("hidden", "hidden too")
    assert "hidden" not in repr(server)


@pytest.mark.parametrize(
    ("scheme", "header", "value"),
    [
        ("qdrant", "api-key", "hidden"),
        ("chroma", "x-chroma-token", "hidden"),
        ("weaviate", "authorization", "Bearer hidden"),
    ],
)
async def test_a_server_is_sent_the_key_that_its_store_was_opened_with(
    tmp_path: Path, scheme: str, header: str, value: str
) -> None:
    sent: list[str | None] = []

    def refuse(request: ServerRequest) -> ServerReply:
        sent.append(request.headers.get(header))
        return ServerReply(status=401)

    with served(refuse) as address:
        url = address.replace("http", scheme)
        store = load_backend("vector_stores", url)(url, root=tmp_path, secrets={KEY: "hidden"})
        with pytest.raises(StorageError, match="refuses the key"):
            async with store:
                await store.count()
    assert set(sent) == {value}


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, ErrorCode.REFUSED), (503, ErrorCode.UNREACHABLE), (507, ErrorCode.DISK_FULL), (500, ErrorCode.DAMAGED)],
)
def test_a_refusal_becomes_a_code_and_a_hint(status: int, code: ErrorCode) -> None:
    error = refused("qdrant://box:6333", status, "said so")
    assert error.error_code is code
    assert error.hint

"""The reranker `tei:http(s)://HOST`: a Hugging Face Text Embeddings Inference server."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from intelforge.index.rerankers.context import RerankerContext
from intelforge.index.rerankers.endpoint import Endpoint, Reply
from intelforge.index.rerankers.remote import RemoteReranker
from intelforge.index.rerankers.url import SETTING, read_server

MOST_TEXTS: Final = 32
"""What the server takes unless told otherwise."""


def open_reranker(url: str, *, context: RerankerContext) -> RemoteReranker:
    """The reranker named by the URL. Asks nothing of the server yet. Raises ConfigError."""
    server = read_server(url.partition(":")[2])
    endpoint = Endpoint(
        name=f"tei:{server.url}",
        provider="tei",
        model=server.called,
        url=server.url,
        body=_body,
        read=read_reply,
        most_texts=MOST_TEXTS,
        key=SETTING.key_of_server(server.url, context),
        free=True,
        local=server.local,
    )
    return RemoteReranker(endpoint, context)


def _body(query: str, texts: Sequence[str]) -> Mapping[str, Any]:
    return {"query": query, "texts": list(texts), "truncate": True}


def read_reply(reply: Any) -> Reply:
    """`[{"index": 0, "score": 0.9}]`; the server does not count tokens."""
    return Reply([(row["index"], row["score"]) for row in reply])

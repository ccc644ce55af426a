"""The reranker `voyage:MODEL`; its key is in VOYAGE_API_KEY."""

from functools import partial
from typing import Any, Final

from intelforge.index.rerankers.context import RerankerContext
from intelforge.index.rerankers.endpoint import Endpoint, Reply, ask
from intelforge.index.rerankers.remote import RemoteReranker
from intelforge.index.rerankers.url import SETTING, read_model

URL: Final = "https://api.voyageai.com/v1/rerank"
KEYS: Final = ("VOYAGE_API_KEY",)


def open_reranker(url: str, *, context: RerankerContext) -> RemoteReranker:
    """The reranker named by the URL. Raises ConfigError, and ModelError when the key is missing."""
    model = read_model(url)
    endpoint = Endpoint(
        name=f"voyage:{model}",
        provider="voyage",
        model=model,
        url=URL,
        body=partial(ask, model),
        read=read_reply,
        key=SETTING.key_of("voyage", KEYS, context.environment),
    )
    return RemoteReranker(endpoint, context)


def read_reply(reply: Any) -> Reply:
    """`{"data": [{"index": 0, "relevance_score": 0.9}], "usage": {"total_tokens": 8}}`."""
    tokens = (reply.get("usage") or {}).get("total_tokens")
    return Reply([(row["index"], row["relevance_score"]) for row in reply["data"]], tokens)

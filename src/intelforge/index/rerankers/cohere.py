"""The reranker `cohere:MODEL`; its key is in COHERE_API_KEY or CO_API_KEY."""

from functools import partial
from typing import Final

from intelforge.index.rerankers.context import RerankerContext
from intelforge.index.rerankers.endpoint import Endpoint, ask, read_results
from intelforge.index.rerankers.remote import RemoteReranker
from intelforge.index.rerankers.url import SETTING, read_model

URL: Final = "https://api.cohere.com/v2/rerank"
KEYS: Final = ("COHERE_API_KEY", "CO_API_KEY")


def open_reranker(url: str, *, context: RerankerContext) -> RemoteReranker:
    """The reranker named by the URL. Raises ConfigError, and ModelError when the key is missing."""
    model = read_model(url)
    endpoint = Endpoint(
        name=f"cohere:{model}",
        provider="cohere",
        model=model,
        url=URL,
        body=partial(ask, model),
        read=read_results,
        key=SETTING.key_of("cohere", KEYS, context.environment),
    )
    return RemoteReranker(endpoint, context)

"""The reranker `jina:MODEL`; its key is in JINA_API_KEY."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from intelforge.index.rerankers.context import RerankerContext
from intelforge.index.rerankers.endpoint import Endpoint, ask, read_results
from intelforge.index.rerankers.remote import RemoteReranker
from intelforge.index.rerankers.url import SETTING, read_model

URL: Final = "https://api.jina.ai/v1/rerank"
KEYS: Final = ("JINA_API_KEY",)


def open_reranker(url: str, *, context: RerankerContext) -> RemoteReranker:
    """The reranker named by the URL. Raises ConfigError, and ModelError when the key is missing."""
    model = read_model(url)
    endpoint = Endpoint(
        name=f"jina:{model}",
        provider="jina",
        model=model,
        url=URL,
        body=partial(_body, model),
        read=read_results,
        key=SETTING.key_of("jina", KEYS, context.environment),
    )
    return RemoteReranker(endpoint, context)


def _body(model: str, query: str, texts: Sequence[str]) -> Mapping[str, Any]:
    # Unless told otherwise it sends the texts back.
    return {**ask(model, query, texts), "return_documents": False}

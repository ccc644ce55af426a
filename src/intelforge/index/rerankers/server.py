"""The reranker `http(s)://HOST/v1[#MODEL]`: vLLM, llama.cpp and others that rerank as Jina and Cohere do."""

from functools import partial

from intelforge.index.rerankers.context import RerankerContext
from intelforge.index.rerankers.endpoint import Endpoint, ask, read_results
from intelforge.index.rerankers.remote import RemoteReranker
from intelforge.index.rerankers.url import SETTING, read_server


def open_reranker(url: str, *, context: RerankerContext) -> RemoteReranker:
    """The reranker named by the URL; its server is given a key when there is one. Raises ConfigError."""
    server = read_server(url)
    endpoint = Endpoint(
        name=f"{server.url}#{server.model}".rstrip("#"),
        provider="compatible",
        model=server.called,
        url=server.url,
        body=partial(ask, server.model),
        read=read_results,
        key=SETTING.key_of_server(server.url, context),
        free=server.local,
        local=server.local,
    )
    return RemoteReranker(endpoint, context)

"""The embedder `ollama:MODEL`: a model of the Ollama at OLLAMA_HOST."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import httpx2
import numpy as np

from intelforge.index.embedders.endpoint import Endpoint, Reply
from intelforge.index.embedders.remote import RemoteEmbedder
from intelforge.index.embedders.requests import Requests
from intelforge.index.embedders.url import Target, read_model
from intelforge.index.model_context import ModelContext
from intelforge.index.protocol import TextKind
from intelforge.security.servers import is_loopback

MOST_TEXTS: Final = 32
CLOUD: Final = (":cloud", "-cloud")
"""how the names of models end that Ollama itself sends elsewhere"""


def open_embedder(url: str, *, context: ModelContext) -> RemoteEmbedder:
    """The embedder named by the URL. Asks nothing of Ollama yet. Raises ConfigError."""
    target, base = read_model(url), context.ollama_url()
    endpoint = Endpoint(
        name=target.name,
        provider=target.provider,
        model=target.model,
        url=f"{base}/api/embed",
        facts=target.facts,
        body=partial(_body, target),
        read=read_reply,
        most_texts=MOST_TEXTS,
        free=True,
        local=is_loopback(httpx2.URL(base).host) and not target.model.endswith(CLOUD),
    )
    return RemoteEmbedder(endpoint, Requests(endpoint, context))


def _body(target: Target, texts: Sequence[str], kind: TextKind) -> Mapping[str, Any]:
    # Without `truncate` Ollama cuts long texts and does not say so.
    body: dict[str, Any] = {"model": target.model, "input": list(texts), "truncate": False}
    if target.dimensions:
        body["dimensions"] = target.dimensions
    return body


def read_reply(reply: Any) -> Reply:
    """`{"embeddings": [[…]], "prompt_eval_count": 8}`."""
    return Reply(np.array(reply["embeddings"], np.float32), reply.get("prompt_eval_count"))

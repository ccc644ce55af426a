"""The embedder `tei:http(s)://HOST[#MODEL]`: a Hugging Face Text Embeddings Inference server.

The model is named to know its prefixes and how much it reads; the server has one and does not ask.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from intelforge.index.embedders.endpoint import Endpoint, Reply
from intelforge.index.embedders.remote import RemoteEmbedder
from intelforge.index.embedders.requests import Requests
from intelforge.index.embedders.url import SETTING, Target, read_server
from intelforge.index.model_context import ModelContext
from intelforge.index.protocol import TextKind

MOST_TEXTS: Final = 32
"""What the server takes unless told otherwise."""


def open_embedder(url: str, *, context: ModelContext) -> RemoteEmbedder:
    """The embedder named by the URL. Asks nothing of the server yet. Raises ConfigError."""
    target = read_server(url.partition(":")[2], provider="tei", needs_model=False)
    endpoint = Endpoint(
        name=target.name,
        provider=target.provider,
        model=SETTING.called(target.base_url, target.model),
        url=f"{target.base_url}/embed",
        facts=target.facts,
        body=partial(_body, target),
        read=read_reply,
        most_texts=MOST_TEXTS,
        key=SETTING.key_of_server(target.base_url, context),
        free=True,
        local=target.local,
    )
    return RemoteEmbedder(endpoint, Requests(endpoint, context))


def _body(target: Target, texts: Sequence[str], kind: TextKind) -> Mapping[str, Any]:
    body: dict[str, Any] = {"inputs": list(texts), "truncate": False, "normalize": True}
    if target.dimensions:
        body["dimensions"] = target.dimensions
    return body


def read_reply(reply: Any) -> Reply:
    """`[[…]]`; the server does not count tokens."""
    return Reply(np.array(reply, np.float32))

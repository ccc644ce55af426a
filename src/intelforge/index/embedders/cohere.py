"""The embedder `cohere:MODEL`; its key is in COHERE_API_KEY or CO_API_KEY."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from intelforge.index.embedders.endpoint import Endpoint, Reply
from intelforge.index.embedders.remote import RemoteEmbedder
from intelforge.index.embedders.requests import Requests
from intelforge.index.embedders.url import SETTING, Target, read_model
from intelforge.index.model_context import ModelContext
from intelforge.index.protocol import TextKind

URL: Final = "https://api.cohere.com/v2/embed"
KEYS: Final = ("COHERE_API_KEY", "CO_API_KEY")
MOST_TEXTS: Final = 96
INPUT_TYPES: Final = {TextKind.DOCUMENT: "search_document", TextKind.QUERY: "search_query"}


def open_embedder(url: str, *, context: ModelContext) -> RemoteEmbedder:
    """The embedder named by the URL. Raises ConfigError, and ModelError when the key is missing."""
    target = read_model(url)
    endpoint = Endpoint(
        name=target.name,
        provider=target.provider,
        model=target.model,
        url=URL,
        facts=target.facts,
        body=partial(_body, target),
        read=read_reply,
        most_texts=MOST_TEXTS,
        key=SETTING.key_of(target.provider, KEYS, context.environment),
    )
    return RemoteEmbedder(endpoint, Requests(endpoint, context))


def _body(target: Target, texts: Sequence[str], kind: TextKind) -> Mapping[str, Any]:
    body: dict[str, Any] = {
        "model": target.model,
        "input_type": INPUT_TYPES[kind],
        "texts": list(texts),
        "embedding_types": ["float"],
        "truncate": "NONE",
    }
    if target.dimensions:
        body["output_dimension"] = target.dimensions
    return body


def read_reply(reply: Any) -> Reply:
    """`{"embeddings": {"float": [[…]]}, "meta": {"billed_units": {"input_tokens": 8}}}`."""
    billed = (reply.get("meta") or {}).get("billed_units") or {}
    return Reply(np.array(reply["embeddings"]["float"], np.float32), billed.get("input_tokens"))

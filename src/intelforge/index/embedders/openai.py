"""The embedders of OpenAI's API and of the many servers that speak it.

openai:MODEL  together:MODEL  mistral:MODEL     keys in OPENAI_API_KEY, TOGETHER_API_KEY, MISTRAL_API_KEY
http(s)://HOST/v1#MODEL                         vLLM, LM Studio, llama.cpp and others
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from intelforge.index.embedders.endpoint import Endpoint, Reply
from intelforge.index.embedders.remote import RemoteEmbedder
from intelforge.index.embedders.requests import Requests
from intelforge.index.embedders.url import OTHER_KEY, SETTING, Target, read_model, read_server
from intelforge.index.model_context import ModelContext
from intelforge.index.protocol import TextKind

MOST_TEXTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A provider with this API."""

    base_url: str
    key: str
    """the environment variable that holds it"""
    size_field: str = "dimensions"
    """how it is asked for shorter vectors"""
    encoding: str = ""
    """`base64` where it is known to be understood: a quarter of the bytes, and quick to read"""


SERVICES: Final[Mapping[str, Service]] = {
    "openai": Service(base_url="https://api.openai.com/v1", key="OPENAI_API_KEY", encoding="base64"),
    "together": Service(base_url="https://api.together.xyz/v1", key="TOGETHER_API_KEY"),
    "mistral": Service(base_url="https://api.mistral.ai/v1", key="MISTRAL_API_KEY", size_field="output_dimension"),
}


def open_embedder(url: str, *, context: ModelContext) -> RemoteEmbedder:
    """The embedder named by `PROVIDER:MODEL`. Raises ConfigError, and ModelError when the key is missing."""
    target = read_model(url)
    service = SERVICES[target.provider]
    key = SETTING.key_of(target.provider, (service.key,), context.environment)
    return _opened(target, service, key, context, called=target.model)


def open_server(url: str, *, context: ModelContext) -> RemoteEmbedder:
    """The embedder named by `http(s)://HOST/v1#MODEL`; its server is given a key when there is one."""
    target = read_server(url, provider="compatible", needs_model=True)
    service = Service(base_url=target.base_url, key=OTHER_KEY)
    key = SETTING.key_of_server(target.base_url, context)
    return _opened(target, service, key, context, called=SETTING.called(target.base_url, target.model))


def _opened(target: Target, service: Service, key: str, context: ModelContext, *, called: str) -> RemoteEmbedder:
    endpoint = Endpoint(
        name=target.name,
        provider=target.provider,
        model=called,
        url=f"{service.base_url}/embeddings",
        facts=target.facts,
        body=partial(_body, target, service),
        read=read_reply,
        most_texts=MOST_TEXTS,
        key=key,
        free=target.local,
        local=target.local,
    )
    return RemoteEmbedder(endpoint, Requests(endpoint, context))


def _body(target: Target, service: Service, texts: Sequence[str], kind: TextKind) -> Mapping[str, Any]:
    body: dict[str, Any] = {"model": target.model, "input": list(texts)}
    if service.encoding:
        body["encoding_format"] = service.encoding
    if target.dimensions:
        body[service.size_field] = target.dimensions
    return body


def read_reply(reply: Any) -> Reply:
    """`{"data": [{"index": 0, "embedding": […]}], "usage": {"prompt_tokens": 8}}`, its rows in any order."""
    rows = sorted(reply["data"], key=lambda row: int(row["index"]))
    if [row["index"] for row in rows] != list(range(len(rows))):
        raise ValueError("texts without vectors")
    tokens = (reply.get("usage") or {}).get("prompt_tokens")
    return Reply(np.array([_vector(row["embedding"]) for row in rows], np.float32), tokens)


def _vector(value: Any) -> Any:
    """Numbers, or the base64 of little-endian float32."""
    return np.frombuffer(base64.b64decode(value, validate=True), "<f4") if isinstance(value, str) else value

"""Opens embedders against a server on loopback, and notes every call they enter in the books."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from intelforge.core.registry import load_backend
from intelforge.index.embedders.remote import RemoteEmbedder
from intelforge.index.embedders.requests import Requests
from intelforge.index.model_api import Patience
from intelforge.index.model_context import ModelContext, RemoteCall
from intelforge.testing.embedding_server import EmbeddingServer

KEY: Final = "sk-verysecret-0123456789"
KEYS: Final = (
    "OPENAI_API_KEY",
    "TOGETHER_API_KEY",
    "MISTRAL_API_KEY",
    "COHERE_API_KEY",
    "INTELFORGE_EMBEDDER_API_KEY_127_0_0_1",
)


@dataclass(kw_only=True)
class Spent:
    """What a call took."""

    input_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call in the books."""

    call: RemoteCall
    spent: Spent
    settled: bool


@dataclass(kw_only=True)
class Opener:
    """Opens an embedder by its URL, in which SERVER stands for the server's address. Its naps are not slept."""

    server: EmbeddingServer
    client: httpx2.AsyncClient
    patience: Patience
    entries: list[Entry] = field(default_factory=list)

    def __call__(self, url: str, **changes: Any) -> RemoteEmbedder:
        """`changes` are fields of the context."""
        url = url.replace("SERVER", self.server.url)
        given: dict[str, Any] = {
            "client": lambda: self.client,
            "meter": self._meter,
            "ollama_url": lambda: self.server.url,
            "environment": dict.fromkeys(KEYS, KEY),
        }
        context = ModelContext(**{**given, **changes})
        endpoint = load_backend("embedders", url)(url, context=context).endpoint
        return RemoteEmbedder(endpoint, Requests(endpoint, context, patience=self.patience))

    @asynccontextmanager
    async def _meter(self, call: RemoteCall, /) -> AsyncIterator[Spent]:
        spent, settled = Spent(), False
        try:
            yield spent
            settled = True
        finally:
            self.entries.append(Entry(call=call, spent=spent, settled=settled))

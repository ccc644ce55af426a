"""Opens rerankers against a server on loopback, and keeps every call they enter in the ledger."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2

from intelforge.core.registry import load_backend
from intelforge.index.model_api import Patience
from intelforge.index.rerank import Reranker, TokenEncoder
from intelforge.index.rerankers.context import LanguageModel, RerankerContext
from intelforge.index.rerankers.remote import RemoteReranker
from intelforge.models.gateway import Gateway, Options
from intelforge.models.ledger import Ledger, MemoryLedgerStore
from intelforge.models.meter import ModelMeter
from intelforge.models.resilience import RetryPolicy
from intelforge.testing.rerank_server import KEY, RerankServer

KEYS: Final = (
    "COHERE_API_KEY",
    "JINA_API_KEY",
    "VOYAGE_API_KEY",
    "OPENAI_API_KEY",
    "INTELFORGE_RERANKER_API_KEY_127_0_0_1",
    "INTELFORGE_LLM_API_KEY_127_0_0_1",
)


@dataclass(kw_only=True)
class RerankerOpener:
    """Opens a reranker by its URL, in which SERVER stands for the server's address. Its naps are not slept."""

    server: RerankServer
    client: httpx2.AsyncClient
    patience: Patience
    root: Path
    encoder: TokenEncoder | None = None
    key: str = field(default=KEY, repr=False)
    ledger: MemoryLedgerStore = field(default_factory=MemoryLedgerStore)

    def __call__(self, url: str, **changes: Any) -> Reranker:
        """`changes` are fields of the context."""
        url = url.replace("SERVER", self.server.url)
        given: dict[str, Any] = {
            "client": lambda: self.client,
            "meter": ModelMeter(Ledger(self.ledger)),
            "ollama_url": lambda: self.server.url,
            "root": self.root,
            "environment": self.environment,
            "encoder": self.encoder,
            "language_model": self._language_model,
        }
        context = RerankerContext(**{**given, **changes})
        reranker: Reranker = load_backend("rerankers", url)(url, context=context)
        if isinstance(reranker, RemoteReranker):
            return RemoteReranker(reranker.endpoint, context, patience=self.patience)
        return reranker

    @property
    def environment(self) -> dict[str, str]:
        return dict.fromkeys(KEYS, self.key)

    async def _language_model(self, url: str) -> LanguageModel | None:
        options = Options(retry=RetryPolicy(retries=0))
        gateway = Gateway(client=self.client, ledger=Ledger(self.ledger), options=options, environment=self.environment)
        return await gateway.model(url or "none:")

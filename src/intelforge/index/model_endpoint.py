"""Where a model behind an HTTP API is, and as what its calls are entered in the books."""

from dataclasses import dataclass, field

from intelforge.index.model_api import ModelApi, Patience
from intelforge.index.model_context import ModelContext, RemoteCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEndpoint:
    """What the endpoints of embedders and rerankers have in common."""

    name: str
    """of the embedder or reranker"""
    provider: str
    """as price lists name it"""
    model: str
    url: str
    key: str = field(default="", repr=False)
    free: bool = False
    """costs nothing"""
    local: bool = False
    """what it is given stays on this machine"""

    def api(self, setting: str, context: ModelContext, patience: Patience) -> ModelApi:
        """Its URL, asked through the client of the context; `setting` is the one that names it."""
        return ModelApi(
            setting=setting, name=self.name, url=self.url, key=self.key, client=context.client, patience=patience
        )

    def call(self, purpose: str, *, tokens: int) -> RemoteCall:
        """A request of about so many tokens, before it is made."""
        return RemoteCall(purpose=purpose, provider=self.provider, model=self.model, tokens=tokens, local=self.free)

"""What a reranker is lent by the workspace that opens it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from intelforge.index.model_context import ModelContext
from intelforge.index.rerank import TokenEncoder


class Reply(Protocol):
    """What a language model wrote."""

    @property
    def text(self) -> str: ...


class LanguageModel(Protocol):
    """A language model that enters its calls in the ledger itself."""

    @property
    def name(self) -> str: ...

    @property
    def local(self) -> bool:
        """What it is asked stays on this machine."""
        ...

    async def complete(self, prompt: str, *, instructions: str, purpose: str, local_only: bool = False) -> Reply:
        """`local_only`: nothing that it does for this may leave this machine."""
        ...


OpenLanguageModel = Callable[[str], Awaitable[LanguageModel | None]]
"""opens what a URL of the setting `llm` names; with an empty one, the language model of the workspace"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankerContext(ModelContext):
    """Handed to every factory of `intelforge.rerankers` as `context`.

    A factory is `open_reranker(url, *, context)`. It asks nothing of a model yet, and gives a Reranker, or None when
    there is nothing to rerank with.
    """

    encoder: TokenEncoder | None
    """what embeds, if it gives vectors of tokens too"""
    language_model: OpenLanguageModel

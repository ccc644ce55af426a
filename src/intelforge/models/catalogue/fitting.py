"""Fits requests into the windows that the catalogue knows of: what the gateway is lent as its window."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from intelforge.core.chat import ChatRequest
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.window.counting import TokenCounter
from intelforge.models.window.fit import Strategy, Summarise, Window, fit

SERVED_UNLESS_SET: Final = 4096
"""tokens of context that Ollama serves on machines without a large graphics card, whatever the model was made for"""


@dataclass(slots=True, kw_only=True)
class CatalogueWindow:
    """Fits a request to the window of the model it goes to. A model whose window nobody knows is given all of it."""

    catalogue: Catalogue
    strategy: Strategy = Strategy.OLDEST_FIRST
    keep_last: int = 20
    longest_reply: int = 0
    """tokens that are asked for when a request does not say how long its reply may be; 0 is not known"""
    summarise: Summarise | None = None
    _counters: dict[str, TokenCounter] = field(default_factory=dict)

    async def fit(self, request: ChatRequest, *, model: str) -> tuple[ChatRequest, Sequence[str]]:
        """A request that fits, and what the caller should know. ModelError (too_large) when none does."""
        facts = await self.catalogue.measured_facts(model)
        if facts.context_window is None:
            return request, ()
        away = request.local_only and self.strategy is Strategy.SUMMARISE  # who summarises may be elsewhere
        window = Window(
            model=model,
            tokens=facts.context_window,
            strategy=Strategy.OLDEST_FIRST if away else self.strategy,
            keep_last=self.keep_last,
            longest_reply=self.longest_reply,
            summarise=self.summarise,
        )
        fitted = await fit(request, window, self._counters.setdefault(model, TokenCounter(model)))
        needed = fitted.count.tokens if fitted.count else 0
        if needed <= SERVED_UNLESS_SET or not self.catalogue.unsure_of_window(facts):
            return fitted.request, fitted.notes
        doubt = (
            f"the prompt takes {needed:,} tokens, and Ollama may cut it at {SERVED_UNLESS_SET:,} unless "
            f"OLLAMA_CONTEXT_LENGTH is set; to measure it: intelforge models probe {model}"
        )
        return fitted.request, (*fitted.notes, doubt)

"""Fits requests into the windows that the catalogue knows of: what the gateway is lent as its window."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from intelforge.core.chat import ChatRequest
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.window.counting import TokenCounter, bytes_of
from intelforge.models.window.fit import Fitted, Strategy, Summarise, Window, fit


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
        counter = self._counters.get(model) or self._counters.setdefault(model, TokenCounter(model))
        fitted = Fitted(request=request, count=None)
        if facts.context_window is not None:
            fitted = await fit(request, self._window(model, facts.context_window, request), counter)
        doubt = await self._doubt(fitted, counter)
        return fitted.request, (*fitted.notes, doubt) if doubt else fitted.notes

    def _window(self, model: str, tokens: int, request: ChatRequest) -> Window:
        away = request.local_only and self.strategy is Strategy.SUMMARISE  # who summarises may be elsewhere
        return Window(
            model=model,
            tokens=tokens,
            strategy=Strategy.OLDEST_FIRST if away else self.strategy,
            keep_last=self.keep_last,
            longest_reply=self.longest_reply,
            summarise=self.summarise,
        )

    async def _doubt(self, fitted: Fitted, counter: TokenCounter) -> str:
        """What is to be said of a prompt that its server may cut without a word; empty when it will not."""
        served, bound = self.catalogue.surely_served(counter.model), bytes_of(fitted.request)
        if served == math.inf or (bound is not None and bound <= served):
            return ""
        count = fitted.count
        if count is None:
            count = await asyncio.to_thread(counter.request, fitted.request)
        if count.tokens <= served:
            return ""
        return (
            f"the prompt takes {count.tokens:,} tokens, and Ollama may cut it at {served:,.0f} unless "
            f"OLLAMA_CONTEXT_LENGTH is set; to measure it: intelforge models probe {counter.model}"
        )

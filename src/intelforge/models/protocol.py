"""The contract of a language model, as the rest of IntelForge sees it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a language model replied and what it took."""

    text: str
    model: str
    """`provider:name`"""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    """US dollars; 0.0 for local models, None when the price is not known"""


class LanguageModel(Protocol):
    """Writes text. Every call is entered in the ledger."""

    @property
    def name(self) -> str:
        """`provider:name`, for example `ollama:qwen3:8b`."""
        ...

    async def complete(self, prompt: str, *, instructions: str, purpose: str) -> Completion:
        """The reply to a prompt. `purpose` says in one word what the call is for (`answer`), for the ledger.

        Raises ModelError with the reason: refused, missing, timed out, unreachable, empty reply.
        """
        ...

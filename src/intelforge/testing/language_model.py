"""A language model whose replies are given, for testing what is done with them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from intelforge.models.protocol import Completion


@dataclass(slots=True)
class ScriptedModel:
    """A LanguageModel that gives the replies in turn, the last one for ever; an exception among them is raised."""

    replies: Sequence[str | Exception]
    name: str = "mock:scripted"
    prompts: list[str] = field(default_factory=list)
    """the prompts it was given"""
    cost_usd: float | None = 0.0

    async def complete(self, prompt: str, *, instructions: str, purpose: str) -> Completion:
        reply = self.replies[min(len(self.prompts), len(self.replies) - 1)]
        self.prompts.append(prompt)
        if isinstance(reply, Exception):
            raise reply
        return Completion(text=reply, model=self.name, cost_usd=self.cost_usd)

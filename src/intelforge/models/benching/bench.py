"""Asks models the same prompts again and again, streamed and whole, and tells how long it took."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from intelforge.core.accounting import accounting_for
from intelforge.core.chat import ChatRequest, ChatResponse, Done, Message, Role
from intelforge.core.errors import EgressError, ModelError
from intelforge.core.model_reports import BenchCall, BenchSummary
from intelforge.core.stopping import unless_stopped
from intelforge.models.probing.probe import speed_of
from intelforge.models.protocol import LanguageModel

MAX_TOKENS: Final = 256
"""of each reply: enough to tell how fast a model writes"""

Told = Callable[[str, int, int], None]
"""The model being asked, how many of all calls are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A model that is measured."""

    model: LanguageModel
    window: int | None
    """tokens"""
    memory: Callable[[], Coroutine[Any, Any, tuple[float | None, str]]]
    """of its server, asked for while the model is loaded"""


@dataclass(slots=True, kw_only=True)
class Bench:
    """One benchmark."""

    prompts: Sequence[str]
    repeat: int = 3
    max_tokens: int = MAX_TOKENS
    timer: Callable[[], float] = time.perf_counter
    told: Told = field(default=lambda model, done, total: None)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """once set, the running call is cancelled and none is made any more"""
    _done: int = 0
    _total: int = 0

    async def run(self, contestants: Sequence[Contestant]) -> tuple[list[BenchSummary], list[BenchCall]]:
        """Each model in turn, once before it is measured, so that loading it does not count.

        When stopped, the calls that came to their end, and the models of which there are any.
        """
        self._total = len(contestants) * (1 + 2 * len(self.prompts) * self.repeat)
        summaries, calls = [], []
        for contestant in contestants:
            made = await self._measured(contestant)
            if not made:
                break
            memory, of = await unless_stopped(contestant.memory(), self.stopping) or (None, "")
            summaries.append(summary(contestant.model.name, made, memory=memory, memory_of=of))
            calls += made
        return summaries, calls

    async def _measured(self, contestant: Contestant) -> list[BenchCall]:
        warmed = await self._unless_stopped(contestant, prompt=0, repeat=0, streamed=True)
        if warmed is None:
            return []
        if warmed.error:
            self._done += 2 * len(self.prompts) * self.repeat
            return [warmed]
        made: list[BenchCall] = []
        for repeat in range(1, self.repeat + 1):
            for prompt in range(1, len(self.prompts) + 1):
                for streamed in (True, False):
                    call = await self._unless_stopped(contestant, prompt=prompt, repeat=repeat, streamed=streamed)
                    if call is None:
                        return made
                    made.append(call)
        return made

    async def _unless_stopped(
        self, contestant: Contestant, *, prompt: int, repeat: int, streamed: bool
    ) -> BenchCall | None:
        call = self._call(contestant, prompt=prompt, repeat=repeat, streamed=streamed)
        return await unless_stopped(call, self.stopping)

    async def _call(self, contestant: Contestant, *, prompt: int, repeat: int, streamed: bool) -> BenchCall:
        self.told(contestant.model.name, self._done, self._total)
        self._done += 1
        request = ChatRequest(
            messages=(Message.of(Role.USER, self.prompts[max(0, prompt - 1)]),),
            temperature=0.0,
            max_tokens=self.max_tokens,
            accounting=accounting_for("bench"),
        )
        began = self.timer()
        try:
            first, response = await self._asked(contestant.model, request, streamed=streamed, began=began)
        except (ModelError, EgressError) as error:
            return _failed(contestant, prompt, repeat, streamed=streamed, error=error.message)
        total = self.timer() - began
        first = total if first is None else first
        tokens = response.tokens
        rate = speed_of(tokens.output, first, total)[1] if streamed else tokens.output / total if total else 0.0
        return BenchCall(
            model=contestant.model.name,
            prompt=prompt,
            repeat=repeat,
            streamed=streamed,
            first_token=first,
            total=total,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            tokens_per_second=rate,
            context_use=(tokens.input + tokens.output) / contestant.window if contestant.window else None,
            cost_usd=response.cost_usd,
        )

    async def _asked(
        self, model: LanguageModel, request: ChatRequest, *, streamed: bool, began: float
    ) -> tuple[float | None, ChatResponse]:
        """Seconds to the first piece, None where the reply came whole, and the reply."""
        if not streamed:
            return None, await model.respond(request)
        first: float | None = None
        async with aclosing(model.stream(request)) as events:
            async for event in events:
                first = self.timer() - began if first is None else first
                if isinstance(event, Done):
                    return first, event.response
        raise ModelError(f"{model.name} ended its stream without a reply", hint="try again")


def summary(model: str, calls: Sequence[BenchCall], *, memory: float | None, memory_of: str) -> BenchSummary:
    """What came of one model's calls."""
    good = [call for call in calls if not call.error]
    streams = [call for call in good if call.streamed]
    costs = [call.cost_usd for call in good]
    errors = [call.error for call in calls if call.error]
    return BenchSummary(
        model=model,
        calls=len(calls),
        failed=len(errors),
        first_token_p50=quantile([call.first_token for call in streams], 0.5),
        first_token_p95=quantile([call.first_token for call in streams], 0.95),
        total_p50=quantile([call.total for call in streams], 0.5),
        total_p95=quantile([call.total for call in streams], 0.95),
        batch_total_p50=quantile([call.total for call in good if not call.streamed], 0.5),
        tokens_per_second_p50=quantile([call.tokens_per_second for call in streams if call.tokens_per_second], 0.5),
        context_use_max=max((call.context_use for call in good if call.context_use is not None), default=None),
        memory_gb=memory,
        memory_of=memory_of,
        cost_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
        error=errors[0] if errors else "",
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below which this share of them lies, between neighbours in proportion; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _failed(contestant: Contestant, prompt: int, repeat: int, *, streamed: bool, error: str) -> BenchCall:
    return BenchCall(
        model=contestant.model.name,
        prompt=prompt,
        repeat=repeat,
        streamed=streamed,
        first_token=0.0,
        total=0.0,
        input_tokens=0,
        output_tokens=0,
        tokens_per_second=0.0,
        context_use=None,
        cost_usd=0.0,
        error=error,
    )

"""Runs the standard set against a model and tells what came of it."""

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from intelforge.core.accounting import accounting_for
from intelforge.core.chat import ChatRequest, ChatResponse, Done, Message, Role
from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import EgressError, ErrorCode, ModelError
from intelforge.core.model_reports import Profile, Skill, Trial
from intelforge.models.probing.long_prompts import long_prompt, sizes
from intelforge.models.probing.tasks import Task, standard_set
from intelforge.models.protocol import LanguageModel
from intelforge.models.window.counting import TokenCounter

SET: Final = 1
"""version of the standard set: profiles of another are not compared"""
SPEED_TRIES: Final = 2
SPEED_TOKENS: Final = 200
SPEED: Final = "Count from one to sixty in English words, separated by commas. Write nothing else."
LOCAL_CONTEXT: Final = 32_768
"""tokens of the longest prompt that a local model is tried with, unless told otherwise"""
PAID_CONTEXT: Final = 8_192
"""and one that costs money"""
_HOPELESS: Final = (ErrorCode.UNREACHABLE, ErrorCode.REFUSED, ErrorCode.MISSING_MODEL)
"""no further call would do better"""

Told = Callable[[str, int, int], None]
"""What is being tried, how many of all calls are done, and how many there are."""


@dataclass(slots=True, kw_only=True)
class Probe:
    """One run of the set."""

    model: LanguageModel
    context: int
    """tokens of the longest prompt to try; 0 tries none"""
    clock: Clock = utc_now
    timer: Callable[[], float] = time.perf_counter
    told: Told = field(default=lambda what, done, total: None)
    _calls: int = 0
    _planned: int = 0
    _costs: list[float | None] = field(default_factory=list)

    async def run(self) -> Profile:
        """Tries everything. Raises ModelError or EgressError when the model cannot be asked at all."""
        tasks = standard_set()
        lengths = sizes(self.context) if self.context else []
        self._planned = SPEED_TRIES + len(tasks) + len(lengths)
        speeds = [await self._speed() for _ in range(SPEED_TRIES)]
        trials = [await self._trial(skill, tasks) for skill in Skill if skill is not Skill.CONTEXT]
        usable, lost, found = await self._context(lengths)
        rates = [rate for _, rate in speeds if rate]
        return Profile(
            model=self.model.name,
            at=self.clock(),
            trials=(*trials, *found),
            first_token_seconds=median(first for first, _ in speeds),
            tokens_per_second=median(rates) if rates else 0.0,
            context_usable=usable,
            context_lost=lost,
            cost_usd=None if None in self._costs else sum(cost or 0.0 for cost in self._costs),
            calls=self._calls,
            version=SET,
        )

    async def _trial(self, skill: Skill, tasks: Sequence[Task]) -> Trial:
        problems = [await self._problem(task) for task in tasks if task.skill is skill]
        failed = [problem for problem in problems if problem]
        passed = len(problems) - len(failed)
        return Trial(skill=skill, tries=len(problems), passed=passed, detail=failed[0] if failed else "")

    async def _context(self, lengths: Sequence[int]) -> tuple[int | None, int | None, list[Trial]]:
        """The longest prompt in which the fact was found, the first in which it was not, and the trial."""
        counter, usable, lost, problem = TokenCounter(self.model.name), None, None, ""
        for length in lengths:
            problem = await self._problem(long_prompt(length, counter))
            if problem:
                lost = length
                break
            usable = length
        tries = len([length for length in lengths if lost is None or length <= lost])
        trial = Trial(skill=Skill.CONTEXT, tries=tries, passed=tries - bool(problem), detail=problem)
        return usable, lost, [trial] if lengths else []

    async def _problem(self, task: Task) -> str:
        """Why a try failed; empty when it did not."""
        try:
            reply = await self._asked(task.request, task.skill.value)
        except ModelError as error:
            if error.error_code in _HOPELESS:
                raise
            return error.message
        return task.check(reply)

    async def _speed(self) -> tuple[float, float]:
        """Seconds to the first token, and tokens a second from then on."""
        request = _probing(
            ChatRequest(messages=(Message.of(Role.USER, SPEED),), temperature=0.0, max_tokens=SPEED_TOKENS)
        )
        self._tell("how fast it is")
        began, first, response = self.timer(), None, None
        async with aclosing(self.model.stream(request)) as events:
            async for event in events:
                first = first or self.timer() - began
                if isinstance(event, Done):
                    response = event.response
        if response is None:
            raise EgressError(f"{self.model.name} ended its stream without a reply", hint="try again")
        self._note(response)
        return speed_of(response.tokens.output, first or 0.0, self.timer() - began)

    async def _asked(self, request: ChatRequest, what: str) -> ChatResponse:
        self._tell(what)
        try:
            reply = await self.model.respond(_probing(request))
        finally:
            self._calls += 1
        self._costs.append(reply.cost_usd)
        return reply

    def _note(self, response: ChatResponse) -> None:
        self._calls += 1
        self._costs.append(response.cost_usd)

    def _tell(self, what: str) -> None:
        self.told(what, self._calls, max(self._planned, self._calls + 1))


def speed_of(tokens: int, first: float, total: float) -> tuple[float, float]:
    """Seconds to the first token, and tokens a second after it; 0.0 when there was too little to tell."""
    writing = total - first
    return first, (tokens - 1) / writing if tokens > 1 and writing > 0 else 0.0


def _probing(request: ChatRequest) -> ChatRequest:
    return replace(request, accounting=accounting_for("probe"))

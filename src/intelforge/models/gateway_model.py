"""A language model of the gateway: one model or a chain, asked again, hedged and left alone as its failures advise."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final

from intelforge.core.accounting import on_behalf_of
from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    StreamEvent,
    TextDelta,
    Timings,
    ToolCallDelta,
)
from intelforge.core.errors import (
    BusyError,
    ConfigError,
    EgressError,
    ErrorCode,
    IntelForgeError,
    InvalidInputError,
    ModelError,
    StorageError,
)
from intelforge.models.failures import Failure, ProviderError, blamed, failure
from intelforge.models.hedge import hedged
from intelforge.models.prompting import Prompted
from intelforge.models.protocol import Cache, Exchange, Profiles, Responder, Route, Router, Window
from intelforge.models.resilience import PATIENCE_WITH_OTHERS, CircuitBreaker, RetryPolicy, all_failed, broken_off

Events = AsyncGenerator[StreamEvent, None]

_OURS: Final = (StorageError, InvalidInputError, ConfigError, BusyError)
"""no other model would do better"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of a chain, with the breaker that all calls of the process share."""

    url: str
    responder: Responder
    breaker: CircuitBreaker


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a chain deals with failures and slowness."""

    timeout: float = 120.0
    """seconds for one request, when it says nothing"""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    hedge_seconds: float = 0.0
    """after so long without a first token the next model is asked too; 0 for never"""
    timer: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """What a gateway is lent, and may do without."""

    router: Router | None = None
    cache: Cache | None = None
    window: Window | None = None
    profiles: Profiles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayModel(Prompted):
    """See LanguageModel. After the first piece of a stream was given out, nothing is tried again in silence."""

    name: str
    candidates: tuple[Candidate, ...]
    behaviour: Behaviour = Behaviour()
    lent: Lent = Lent()
    routed: str = ""
    """the `router:` URL that chooses among the candidates, if one does"""
    left_out: tuple[str, ...] = ()
    """notes of what the URL names beside the candidates, and why it is not asked"""

    @property
    def local(self) -> bool:
        return all(candidate.responder.local for candidate in self.candidates)

    async def respond(self, request: ChatRequest) -> ChatResponse:
        async with aclosing(self._run(request, stream=False)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.response
        raise ModelError(f"{self.name} gave no usable reply", hint="try again, or choose another model")

    async def stream(self, request: ChatRequest) -> Events:
        async with aclosing(self._run(request, stream=True)) as events:
            async for event in events:
                yield event

    async def _run(self, request: ChatRequest, *, stream: bool) -> Events:
        check_request(request)
        began = self.behaviour.timer()
        with on_behalf_of(request.accounting):
            found = await self.lent.cache.find(request, model=self.name) if self.lent.cache else None
            route = await self._route(request) if found is None else None
        if found is not None:
            for event in replayed(replace(found, notes=(*found.notes, *self.left_out)), stream=stream):
                yield event
            return
        timeout = self.behaviour.timeout if request.timeout is None else request.timeout
        call = _Call(self, Exchange(request=request, stream=stream, deadline=began + timeout), route)
        lent = (self.lent.cache, self.lent.router if route else None)
        call.notes += [*self.left_out, *(one.trouble for one in lent if one and one.trouble)]
        first = 0.0
        try:
            async with aclosing(call.events()) as events:
                async for event in events:
                    first = first or self.behaviour.timer() - began
                    if isinstance(event, Done):
                        total = self.behaviour.timer() - began
                        timings = Timings(first_token=first if stream else total, total=total)
                        response = call.summed(replace(event.response, timings=timings))
                        self._learn(call, response)
                        if not any(map(passing, call.failures)):
                            # What was left out of the request is true of the reply for whoever is given it again.
                            await self._keep(request, response, notes=call.fitting(response.model))
                        event = Done(response)
                    yield event
        except IntelForgeError as error:
            self._learn(call, error)
            raise

    async def _route(self, request: ChatRequest) -> Route | None:
        if self.lent.router is None or not self.routed:
            return None
        among = [candidate.url for candidate in self.candidates]
        return await self.lent.router.route(request, url=self.routed, among=among)

    async def _keep(self, request: ChatRequest, response: ChatResponse, *, notes: Sequence[str]) -> None:
        if self.lent.cache:
            with on_behalf_of(request.accounting):
                await self.lent.cache.keep(request, response, model=self.name, notes=notes)

    def _learn(self, call: "_Call", outcome: ChatResponse | IntelForgeError) -> None:
        if self.lent.router and call.route:
            self.lent.router.learn(call.exchange.request, call.route, outcome, tuple(call.exchange.attempts))


@dataclass(slots=True)
class _Call:
    """One request on its way through the chain."""

    model: GatewayModel
    exchange: Exchange
    route: Route | None
    failures: list[IntelForgeError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _fitting: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _too: list[IntelForgeError] = field(default_factory=list)
    """the failures of those that were asked too, and will not be asked again"""
    _early: dict[str, tuple[ProviderError, float]] = field(default_factory=dict)
    """by URL, the failures of those that were asked too and want to be left alone, and until when"""

    async def events(self) -> Events:
        waiting = self._waiting()
        while waiting:
            candidate, given, retries = waiting.pop(0), False, 0
            if not await self._left_alone(candidate, others=bool(waiting)):
                continue
            while True:
                problem: IntelForgeError
                try:
                    async with aclosing(self._hedged(candidate, waiting)) as events:
                        async for event in events:
                            given = True
                            yield event
                    return
                except _OURS:
                    raise
                except IntelForgeError as error:
                    problem = error
                if given:
                    raise broken_off(problem) if isinstance(problem, ProviderError) else problem
                delay = self._wait(problem, retries, others=bool(waiting))
                if delay is None:
                    self.failures.append(problem)
                    break
                retries += 1
                await self.model.behaviour.sleep(delay)
        raise all_failed([*self.failures, *self._too])

    def fitting(self, model: str) -> tuple[str, ...]:
        """What was said of fitting the request to this model's window."""
        return self._fitting.get(model, ())

    def summed(self, response: ChatResponse) -> ChatResponse:
        """The reply with what all attempts took."""
        attempts = tuple(self.exchange.attempts)
        costs = [attempt.cost_usd for attempt in attempts]
        known = [cost for cost in costs if cost is not None]
        skipped = [f"fell back to {response.model}: {problem.message}" for problem in self.failures]
        return replace(
            response,
            attempts=attempts,
            cost_usd=sum(known) if len(known) == len(costs) else None,
            notes=(*response.notes, *self.notes, *self.fitting(response.model), *skipped),
            decision=self.route.decision if self.route else response.decision,
        )

    def _waiting(self) -> list[Candidate]:
        """The models that may be asked, in their order. Raises ModelError when there is none."""
        found = list(self.model.candidates)
        if self.route:
            order = {url: place for place, url in enumerate(self.route.order)}
            found = sorted((one for one in found if one.url in order), key=lambda one: order[one.url])
        if self.exchange.request.local_only:
            found = [one for one in found if one.responder.local]
        if not found:
            raise ModelError(
                f"{self.model.name} is not on this machine, and the request may not leave it",
                hint="name a local model in llm, for example ollama:NAME",
                code=ErrorCode.REFUSED,
            )
        return found

    async def _left_alone(self, candidate: Candidate, *, others: bool) -> bool:
        """Whether one that was asked too has been left alone as long as it wished; what is left of it is waited for."""
        problem, until = self._early.pop(candidate.url, (None, 0.0))
        behaviour = self.model.behaviour
        now = behaviour.timer()
        if problem is None or until <= now:
            return True
        if until >= self.exchange.deadline or (others and until - now > PATIENCE_WITH_OTHERS):
            self.failures.append(problem)
            return False
        await behaviour.sleep(until - now)
        return True

    def _wait(self, error: IntelForgeError, retries: int, *, others: bool) -> float | None:
        behaviour = self.model.behaviour
        remaining = self.exchange.deadline - behaviour.timer()
        return behaviour.retry.wait(error, retries=retries, remaining=remaining, others=others)

    def _hedged(self, candidate: Candidate, waiting: list[Candidate]) -> Events:
        """The events of one model, or of the next when this one is slow to begin."""
        seconds = self.model.behaviour.hedge_seconds
        if not seconds or not waiting:
            return self._asked(candidate)

        def spare() -> Events | None:
            able = next((one for one in waiting if not one.breaker.open and one.url not in self._early), None)
            if able is None:
                return None
            waiting.remove(able)
            self.notes.append(f"asked {able.responder.name} too: {candidate.responder.name} was slow")
            return self._asked_too(able, waiting)

        return hedged(self._asked(candidate), spare, seconds=seconds)

    async def _asked_too(self, candidate: Candidate, waiting: list[Candidate]) -> Events:
        """The same; one that fails and may answer another time waits for its turn again."""
        try:
            async with aclosing(self._asked(candidate)) as events:
                async for event in events:
                    yield event
        except IntelForgeError as error:
            if isinstance(error, ProviderError) and error.advice.again:
                waiting.append(candidate)
                if error.retry_after:
                    self._early[candidate.url] = (error, self.model.behaviour.timer() + error.retry_after)
            else:
                self._too.append(error)
            raise

    async def _asked(self, candidate: Candidate) -> Events:
        """The events of one attempt."""
        exchange = self.exchange
        if self.model.lent.window:
            with on_behalf_of(exchange.request.accounting):
                fitting, notes = await self.model.lent.window.fit(exchange.request, model=candidate.responder.name)
            exchange = replace(exchange, request=fitting)
            self._fitting[candidate.responder.name] = tuple(notes)
        _check_abilities(candidate.responder, exchange.request)
        with candidate.breaker.watching(), blamed(self.exchange.request):
            async with aclosing(candidate.responder.run(exchange)) as events:
                async for event in events:
                    if isinstance(event, Done):  # now: whoever has it may leave before this ends
                        candidate.breaker.succeeded()
                    yield event


def passing(error: IntelForgeError) -> bool:
    """Whether the model may well answer the same request another time: then the reply of the next is not for ever."""
    if isinstance(error, ProviderError):
        return error.advice.again or error.kind in (Failure.TIMEOUT, Failure.LATE, Failure.RESTING)
    return isinstance(error, EgressError)


def check_request(request: ChatRequest) -> None:
    """Raises InvalidInputError for what no model could answer."""
    if not request.messages:
        raise InvalidInputError("the request has no messages", hint="give at least one of the user")
    named = request.tool_choice not in ("auto", "none", "required")
    if named and request.tool_choice not in {tool.name for tool in request.tools}:
        raise InvalidInputError(
            f"the request demands the tool {request.tool_choice[:60]!r}, which it does not give",
            hint="name one of its tools, or auto, none or required",
        )
    if request.tool_choice == "required" and not request.tools:
        raise InvalidInputError("the request demands a tool and gives none", hint="give tools, or tool_choice auto")
    if request.max_tokens is not None and request.max_tokens < 1:
        raise InvalidInputError("max_tokens is not above zero", hint="leave it out, or give a larger number")


def _check_abilities(responder: Responder, request: ChatRequest) -> None:
    if not responder.abilities.images and any(message.has_image for message in request.messages):
        raise failure(
            Failure.REJECTED, f"{responder.name} cannot see images", hint="choose a model that can, or leave them out"
        )


def replayed(response: ChatResponse, *, stream: bool) -> Sequence[StreamEvent]:
    """A reply that is there already, as events."""
    pieces: list[StreamEvent] = []
    if stream and response.text:
        pieces.append(TextDelta(response.text))
    if stream:
        pieces += [
            ToolCallDelta(index=index, id=call.id, name=call.name, arguments=call.arguments)
            for index, call in enumerate(response.tool_calls)
        ]
    return [*pieces, Done(response)]

"""One attempt with one model: entered in the ledger, bounded in time, its reply and its counts checked."""

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from intelforge.core.chat import (
    Attempt,
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    StreamEvent,
    Tokens,
)
from intelforge.core.errors import IntelForgeError
from intelforge.models.estimates import estimated_tokens, most_tokens, plausible
from intelforge.models.failures import Failure, ProviderError, failure
from intelforge.models.ledger import Ledger
from intelforge.models.protocol import Abilities, Exchange, ModelClient, Prices

ALLOW_MORE: Final = "allow a longer reply: max_tokens of the request, or the setting llm_max_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In seconds, but for the last."""

    total: float = 120.0
    """for one request, all its attempts included"""
    first_token: float = 60.0
    token: float = 30.0
    """between two pieces of a stream"""
    connect: float = 10.0
    max_tokens: int = 4096
    """of a reply, when the request says nothing"""


@dataclass(slots=True)
class _Bill:
    """What is known of an attempt's cost while it is under way."""

    began: float
    most: Tokens
    reserved: float | None
    """None when the price is not known"""
    tokens: Tokens = field(default_factory=Tokens)
    cost: float | None = 0.0
    first_token: float | None = None
    """seconds until the first piece of a stream"""
    notes: tuple[str, ...] = ()

    @property
    def known_cost(self) -> float | None:
        """None where the reservation is charged for want of counts."""
        return None if self.tokens.estimated and self.reserved else self.cost

    def fail(self, error: BaseException) -> None:
        """What a failed attempt may have cost: all that was reserved, unless its provider surely took nothing."""
        if self.tokens != Tokens():
            return
        begun = self.first_token is not None  # what was given out was surely made
        if not isinstance(error, IntelForgeError) or (
            isinstance(error, ProviderError) and (error.advice.costs or begun)
        ):
            self.tokens, self.cost = replace(self.most, estimated=True), self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A model of one provider, as the chain asks it."""

    name: str
    provider: str
    model: str
    local: bool
    """costs nothing, and what it is asked stays on this machine"""
    client: ModelClient
    ledger: Ledger
    prices: Prices
    limits: Limits
    timer: Callable[[], float] = time.perf_counter

    @property
    def abilities(self) -> Abilities:
        return self.client.abilities

    async def run(self, exchange: Exchange) -> AsyncGenerator[StreamEvent, None]:
        """The events of one attempt. `Done` comes when the ledger has its cost."""
        request = exchange.request
        if request.max_tokens is None:
            request = replace(request, max_tokens=self.limits.max_tokens)
        most = most_tokens(request, model=self.name)
        bill, done = _Bill(self.timer(), most, self._cost(most)), None
        with self._counted(exchange, bill):
            async with self._charged(request, bill), aclosing(self._pulled(request, exchange)) as events:
                async for event in events:
                    if isinstance(event, Done):
                        done = self._checked(request, event.response, bill)
                    else:
                        bill.first_token = bill.first_token or self.timer() - bill.began
                        yield event
        if done is not None:
            cut = exchange.stream and done.finish_reason is FinishReason.UNKNOWN
            doubts = (f"{self.name} did not say why its reply ended: it may be cut off",) if cut else ()
            yield Done(replace(done, notes=(*done.notes, *doubts, *bill.notes)))

    @contextmanager
    def _counted(self, exchange: Exchange, bill: _Bill) -> Iterator[None]:
        """Adds the attempt to the exchange, whatever becomes of it."""
        error, fault = "", False
        try:
            yield
        except BaseException as failed:
            error, fault = _one_line(failed), isinstance(failed, ProviderError) and failed.advice.counts
            raise
        finally:
            seconds = self.timer() - bill.began
            exchange.attempts.append(
                Attempt(model=self.name, seconds=seconds, error=error, fault=fault, cost_usd=bill.cost)
            )

    @asynccontextmanager
    async def _charged(self, request: ChatRequest, bill: _Bill) -> AsyncIterator[None]:
        """The ledger's entry around the attempt, and what it took."""
        entry = self.ledger.call(self.name, accounting=request.accounting, reserve_usd=bill.reserved, local=self.local)
        async with entry as usage:
            try:
                yield
            except BaseException as error:
                bill.fail(error)
                raise
            finally:
                usage.tokens, usage.cost_usd = bill.tokens, bill.known_cost
                usage.first_token_seconds = bill.first_token
        bill.notes = tuple(usage.notes)

    async def _pulled(self, request: ChatRequest, exchange: Exchange) -> AsyncGenerator[StreamEvent, None]:
        """What the client gives, each piece in its time."""
        remaining = exchange.deadline - self.timer()
        if remaining <= 0:
            hint = "raise llm_timeout, or choose a quicker model to be asked before it"
            raise failure(Failure.LATE, f"no time was left to ask {self.name}", hint=hint)
        waited = "llm_first_token_timeout" if exchange.stream else "llm_timeout"
        limit = self.limits.first_token if exchange.stream else math.inf
        async with aclosing(self.client.send(request, stream=exchange.stream, timeout=remaining)) as source:
            while True:
                remaining = exchange.deadline - self.timer()
                if remaining < limit:
                    waited, limit = "llm_timeout", max(remaining, 0.0)
                try:
                    async with asyncio.timeout(limit) as scope:
                        event = await anext(source, None)
                except TimeoutError:
                    if not scope.expired():
                        raise
                    event = None
                if scope.expired():
                    raise self._late(waited, limit)
                if event is None:
                    raise failure(Failure.MALFORMED, f"{self.name} gave no usable reply", hint="choose another model")
                yield event
                if isinstance(event, Done):
                    return
                waited, limit = "llm_token_timeout", self.limits.token

    def _late(self, setting: str, seconds: float) -> ProviderError:
        what = {
            "llm_timeout": f"{self.name} did not answer in time",
            "llm_first_token_timeout": f"{self.name} said nothing within {seconds:g} s",
            "llm_token_timeout": f"{self.name} fell silent for {seconds:g} s within its reply",
        }[setting]
        return failure(Failure.TIMEOUT, what, hint=f"raise {setting}, or choose another model")

    def _checked(self, request: ChatRequest, response: ChatResponse, bill: _Bill) -> ChatResponse:
        """The reply with its cost. Raises ProviderError when it is of no use."""
        tokens, notes, reserved = response.tokens, response.notes, bill.reserved
        can_be = not tokens.estimated and plausible(tokens, response, most=bill.most)
        cost = self._cost(tokens) if can_be else None
        if can_be and (cost is None or reserved is None or cost <= reserved):
            bill.tokens, bill.cost = tokens, cost
        else:
            told = "told no" if tokens.estimated else "told impossible"
            notes = (*notes, f"{self.name} {told} token counts; the call is charged as it was reserved")
            about = estimated_tokens(request, response, model=self.name)
            bill.tokens, bill.cost = replace(about, estimated=True), reserved
        check_reply(self.name, request, response)
        return replace(response, model=self.name, tokens=bill.tokens, cost_usd=bill.cost, notes=notes)

    def _cost(self, tokens: Tokens) -> float | None:
        return 0.0 if self.local else self.prices.cost(self.provider, self.model, tokens)


def check_reply(name: str, request: ChatRequest, response: ChatResponse) -> None:
    """Raises ProviderError for a reply that is empty, filtered, or calls a tool in a way that makes no sense."""
    if response.finish_reason is FinishReason.REFUSED and not response.text.strip():
        raise failure(Failure.FILTERED, f"{name} refused to answer", hint="ask in other words, or choose another model")
    cut = response.finish_reason is FinishReason.LENGTH
    if not response.text.strip() and not response.tool_calls:
        hint = ALLOW_MORE if cut else "try again, or choose another model"
        raise failure(Failure.UNFIT if cut else Failure.MALFORMED, f"{name} gave an empty reply", hint=hint)
    known = {tool.name for tool in request.tools}
    for call in response.tool_calls:
        if call.name not in known:
            raise failure(
                Failure.UNFIT,
                f"{name} called a tool that it was not given: {call.name[:60]!r}",
                hint="try again, or choose a model that can call tools: intelforge models check",
            )
        if not _is_object(call.arguments):
            what = "cut off" if cut else "no JSON object"
            raise failure(
                Failure.UNFIT,
                f"{name} called the tool {call.name!r} with arguments that are {what}",
                hint=ALLOW_MORE if cut else "try again, or choose a model that can call tools: intelforge models check",
            )


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False


def _one_line(error: BaseException) -> str:
    if isinstance(error, IntelForgeError):
        return error.message
    return "failed" if isinstance(error, Exception) else "given up"

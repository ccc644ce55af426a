"""One attempt with one model: entered in the ledger, bounded in time, its reply and its counts checked."""

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Final

from intelforge.core.chat import (
    Attempt,
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    Image,
    StreamEvent,
    Text,
    Thinking,
    Tokens,
    ToolCall,
    ToolResult,
)
from intelforge.core.errors import IntelForgeError
from intelforge.models.failures import Failure, ProviderError, failure
from intelforge.models.ledger import Ledger
from intelforge.models.protocol import Abilities, Exchange, ModelClient, Prices

BYTES_PER_TOKEN: Final = 2
"""A low estimate, so that the reservation is not too small."""
MESSAGE_TOKENS: Final = 8
"""that a turn takes beside its words"""
IMAGE_TOKENS: Final = 2_000
PLAUSIBLE_IMAGE_TOKENS: Final = 100_000


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

    reserved: float | None
    """None when the price is not known"""
    tokens: Tokens = field(default_factory=Tokens)
    cost: float | None = 0.0
    error: str = ""


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
        expected = expected_tokens(request)
        began, bill, done = self.timer(), _Bill(self._cost(expected)), None
        try:
            async with self.ledger.call(
                self.name, accounting=request.accounting, reserve_usd=bill.reserved, local=self.local
            ) as usage:
                try:
                    async with aclosing(self._pulled(request, exchange)) as events:
                        async for event in events:
                            if isinstance(event, Done):
                                done = self._checked(request, event.response, bill)
                            else:
                                usage.first_token_seconds = usage.first_token_seconds or self.timer() - began
                                yield event
                except BaseException as error:
                    self._charge_failure(error, bill, expected)
                    raise
                finally:
                    usage.tokens, usage.cost_usd = bill.tokens, bill.cost
        except BaseException as error:
            bill.error = _one_line(error)
            raise
        finally:
            attempt = Attempt(model=self.name, seconds=self.timer() - began, error=bill.error, cost_usd=bill.cost)
            exchange.attempts.append(attempt)
        if done is not None:
            yield Done(replace(done.response, notes=(*done.response.notes, *usage.notes)))

    async def _pulled(self, request: ChatRequest, exchange: Exchange) -> AsyncGenerator[StreamEvent, None]:
        """What the client gives, each piece in its time."""
        remaining = exchange.deadline - self.timer()
        if remaining <= 0:
            raise self._late("llm_timeout", 0.0)
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

    def _checked(self, request: ChatRequest, response: ChatResponse, bill: _Bill) -> Done:
        """The reply with its cost. Raises ProviderError when it is of no use."""
        tokens, notes = response.tokens, response.notes
        if tokens.estimated or not plausible(tokens, request):
            told = "told no" if tokens.estimated else "told impossible"
            notes = (*notes, f"{self.name} {told} token counts; the call is charged as it was reserved")
            bill.tokens, bill.cost = replace(estimated_tokens(request, response), estimated=True), bill.reserved
        else:
            bill.tokens, bill.cost = tokens, self._cost(tokens)
        check_reply(self.name, request, response)
        return Done(replace(response, model=self.name, tokens=bill.tokens, cost_usd=bill.cost, notes=notes))

    def _charge_failure(self, error: BaseException, bill: _Bill, expected: Tokens) -> None:
        """What a failed attempt may have cost: all that was reserved, unless its provider surely took nothing."""
        if bill.tokens != Tokens():
            return
        unknown = not isinstance(error, IntelForgeError) or (isinstance(error, ProviderError) and error.advice.costs)
        if unknown:
            bill.tokens, bill.cost = replace(expected, estimated=True), bill.reserved

    def _cost(self, tokens: Tokens) -> float | None:
        return 0.0 if self.local else self.prices.cost(self.provider, self.model, tokens)


def expected_tokens(request: ChatRequest) -> Tokens:
    """The most that a request is expected to take."""
    size, images = _size(request)
    turns = MESSAGE_TOKENS * (len(request.messages) + 1)
    return Tokens(input=size // BYTES_PER_TOKEN + turns + images * IMAGE_TOKENS, output=request.max_tokens or 0)


def estimated_tokens(request: ChatRequest, response: ChatResponse) -> Tokens:
    """About what an exchange took, when its provider does not say."""
    wrote = sum(len(part.text.encode()) for part in response.parts if isinstance(part, Text | Thinking))
    wrote += sum(len(part.arguments.encode()) for part in response.parts if isinstance(part, ToolCall))
    return Tokens(input=expected_tokens(request).input, output=wrote // BYTES_PER_TOKEN)


def plausible(tokens: Tokens, request: ChatRequest) -> bool:
    """Whether counts can be true: a token is at least one byte, and a reply is no longer than was allowed."""
    size, images = _size(request)
    most_read = 2 * size + 1_000 * (len(request.messages) + len(request.tools) + 1) + images * PLAUSIBLE_IMAGE_TOKENS
    most_written = 4 * (request.max_tokens or 0) + 1_000
    inside = tokens.cache_read + tokens.cache_write <= tokens.input and tokens.thinking <= tokens.output
    counts = (tokens.input, tokens.output, tokens.cache_read, tokens.cache_write, tokens.thinking)
    return min(counts) >= 0 and 0 < tokens.input <= most_read and tokens.output <= most_written and inside


def check_reply(name: str, request: ChatRequest, response: ChatResponse) -> None:
    """Raises ProviderError for a reply that is empty, filtered, or calls a tool in a way that makes no sense."""
    if response.finish_reason is FinishReason.REFUSED and not response.text.strip():
        raise failure(Failure.FILTERED, f"{name} refused to answer", hint="ask in other words, or choose another model")
    if not response.text.strip() and not response.tool_calls:
        cut = response.finish_reason is FinishReason.LENGTH
        hint = "allow a longer reply (llm_max_tokens)" if cut else "try again, or choose another model"
        raise failure(Failure.MALFORMED, f"{name} gave an empty reply", hint=hint)
    known = {tool.name for tool in request.tools}
    for call in response.tool_calls:
        if call.name not in known:
            raise failure(
                Failure.MALFORMED,
                f"{name} called a tool that it was not given: {call.name[:60]!r}",
                hint="try again, or choose a model that can call tools: intelforge models check",
            )
        if not _is_object(call.arguments):
            raise failure(
                Failure.MALFORMED,
                f"{name} called the tool {call.name!r} with arguments that are no JSON object",
                hint="try again, or choose a model that can call tools: intelforge models check",
            )


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False


def _size(request: ChatRequest) -> tuple[int, int]:
    """Bytes of what is said, and the number of images."""
    parts = [part for message in request.messages for part in message.parts]
    size = sum(len(_words(part).encode("utf-8", "surrogatepass")) for part in parts if not isinstance(part, Image))
    size += sum(len(json.dumps(dict(tool.parameters))) + len(tool.name + tool.description) for tool in request.tools)
    size += len(json.dumps(dict(request.output_schema))) if request.output_schema else 0
    return size, sum(isinstance(part, Image) for part in parts)


def _words(part: Text | Thinking | ToolCall | ToolResult | Image) -> str:
    match part:
        case Text() | Thinking():
            return part.text
        case ToolCall():
            return part.name + part.arguments
        case ToolResult():
            return part.name + part.content
        case Image():
            return ""


def _one_line(error: BaseException) -> str:
    if isinstance(error, IntelForgeError):
        return error.message
    return "failed" if isinstance(error, Exception) else "given up"

"""The router as a gateway is lent it: a request in, the order in which to ask its models out, and what came of it."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from intelforge.core.chat import ChatRequest, ChatResponse, Image, Role, Text
from intelforge.core.errors import ConfigError
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.facts import ModelFacts
from intelforge.models.failures import ProviderError
from intelforge.models.protocol import Route
from intelforge.models.router.log import RouterLog
from intelforge.models.router.router import Options
from intelforge.models.router.service import Embed, Outcome, RouterService, Ticket, no_vector
from intelforge.models.router.values import CHARACTERS_PER_TOKEN, EXPECTED_OUTPUT, Candidate, Constraints, Judgement
from intelforge.models.targets import ROUTER, Target, read_target, split_chain

SAVED_EVERY: Final = 50
"""outcomes"""
MOST_OPEN: Final = 10_000
"""requests under way"""
REFRESHED_SECONDS: Final = 10.0
"""after which it is looked whether another process froze or imported it"""
IMAGE_TOKENS: Final = 1000
NANO_DOLLARS: Final = 1e9
HIGH_PRICE: Final = 10.0
"""US dollars for a million tokens: what a model whose price nobody knows is taken to cost"""


def routed_urls(url: str, named: Sequence[str]) -> tuple[str, ...]:
    """The models that a `router:` URL chooses among: those that it names, else those of the settings."""
    return split_chain(url.strip().removeprefix(ROUTER)) or tuple(named)


@dataclass(slots=True, kw_only=True)
class LentRouter:
    """See `models.protocol.Router`. One router serves all `router:` URLs of a workspace."""

    named: Sequence[str]
    """URLs of the setting `llm_models`"""
    catalogue: Catalogue
    log: RouterLog
    options: Options = field(default_factory=Options)
    embed: Embed = no_vector
    read: Callable[[str], Target] = read_target
    now: Callable[[], float] = time.monotonic
    _refreshed: float = 0.0
    _service: RouterService | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tickets: dict[str, Ticket] = field(default_factory=dict)
    _unsaved: int = 0

    def candidates(self, url: str) -> tuple[str, ...]:
        """Raises ConfigError when there is nothing to choose among."""
        urls = routed_urls(url, self.named)
        if len(urls) < 2:
            raise ConfigError(
                f"llm {url!r} has {'one model' if urls else 'no models'} to choose among",
                hint="list them in the setting llm_models, or write router:URL, URL",
            )
        return urls

    async def route(self, request: ChatRequest, *, url: str) -> Route:
        """Raises InvalidInputError when none of the models can take the request."""
        service = await self._opened(self.candidates(url))
        tokens, output = _tokens(request), min(EXPECTED_OUTPUT, request.max_tokens or EXPECTED_OUTPUT)
        ticket = await service.route(
            _asked(request),
            constraints=Constraints(
                context=tokens + output,
                tools=bool(request.tools),
                images=_images(request) > 0,
                json=request.output_schema is not None,
                local_only=request.local_only,
            ),
            input_tokens=tokens,
            output_tokens=output,
            embedded=not request.local_only,  # the embedder may be elsewhere
        )
        self._tickets[ticket.call] = ticket
        while len(self._tickets) > MOST_OPEN:  # of streams that nobody read to their end
            del self._tickets[next(iter(self._tickets))]
        return Route(order=ticket.decision.ranking, decision=ticket.decision.as_json() | {"call": ticket.call})

    async def learn(self, request: ChatRequest, route: Route, outcome: ChatResponse | Exception) -> None:
        """Who failed did it badly; who replied, at what cost and in what time; how well is said later, by its call."""
        ticket = self._tickets.pop(str(route.decision.get("call")), None)
        service = self._service
        if ticket is None or service is None:
            return
        failed = Outcome(quality=0.0, source=Judgement.RETRY)
        if isinstance(outcome, Exception):
            if isinstance(outcome, ProviderError) and outcome.advice.counts:
                await service.settle(ticket, failed)
        else:
            urls = {self.read(url).name: url for url in route.order}
            replied = urls.get(outcome.model, ticket.decision.model)
            for url in {urls.get(attempt.model, "") for attempt in outcome.attempts if attempt.fault} - {"", replied}:
                await service.settle(ticket, failed, model=url)
            seconds, tokens = outcome.timings.total, outcome.tokens.output
            came = Outcome(cost=outcome.cost_usd, latency=seconds, output_tokens=tokens)
            await service.settle(ticket, came, model=replied)
        self._unsaved += 1
        if self._unsaved >= SAVED_EVERY:
            await self.close()

    async def judge(self, call: str, quality: float, source: Judgement) -> None:
        """Says how good the reply of a call was. Raises NotFoundError, InvalidInputError."""
        service = await self._opened(tuple(self.named))
        await service.judge(call, quality, source)
        await service.save()

    async def close(self) -> None:
        """Keeps what was learned."""
        if self._service and self._unsaved:
            self._unsaved = 0
            await self._service.save()

    async def _opened(self, urls: Sequence[str]) -> RouterService:
        async with self._opening:
            if self._service is None:
                candidates = [await self._candidate(url) for url in urls]
                self._service = await RouterService.open(candidates, self.log, options=self.options, embed=self.embed)
            elif self.now() - self._refreshed > REFRESHED_SECONDS:
                self._refreshed = self.now()
                await self._service.refresh()
            known = {candidate.name for candidate in self._service.router.candidates}
            if known != set(urls):
                self._service.router.set_candidates([await self._candidate(url) for url in urls])
        return self._service

    async def _candidate(self, url: str) -> Candidate:
        """A model with what the catalogue knows of it."""
        target = self.read(url)
        facts = await self.catalogue.measured_facts(target.name)
        able, priced = facts.abilities, _priced(url, facts, local=target.local)
        return replace(
            priced,
            context=facts.context_window,
            tools=True if able.tools is None else able.tools,
            images=bool(able.images),
            local=target.local,
        )


def _priced(url: str, facts: ModelFacts, *, local: bool) -> Candidate:
    """With its prices. What is dear is taken to be better until it is known: makers ask what they can."""
    prices = facts.prices
    if local:
        return Candidate(name=url, prior=0.5)
    given: Mapping[str, int | None] = {"input": prices.input, "output": prices.output} if prices else {}
    known = (given.get(kind) for kind in ("input", "output"))
    read, wrote = (HIGH_PRICE if price is None else price / NANO_DOLLARS for price in known)
    return Candidate(name=url, input_price=read, output_price=wrote, prior=0.6 + 0.2 * min(1.0, wrote / HIGH_PRICE))


def _asked(request: ChatRequest) -> str:
    """What the user said last."""
    return next((turn.text for turn in reversed(request.messages) if turn.role is Role.USER and turn.text), "")


def _tokens(request: ChatRequest) -> int:
    """About as many as the request has."""
    said = sum(len(part.text) for turn in request.messages for part in turn.parts if isinstance(part, Text))
    said += sum(len(str(dict(tool.parameters))) for tool in request.tools)
    return int(said / CHARACTERS_PER_TOKEN) + IMAGE_TOKENS * _images(request)


def _images(request: ChatRequest) -> int:
    return sum(isinstance(part, Image) for turn in request.messages for part in turn.parts)

"""The router as a gateway is lent it: a request in, the order in which to ask its models out, and what came of it."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from intelforge.core.chat import (
    Attempt,
    ChatRequest,
    ChatResponse,
    Image,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from intelforge.core.errors import ConfigError
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.protocol import Route
from intelforge.models.router.candidates import candidate_of
from intelforge.models.router.desk import Desk
from intelforge.models.router.protocol import Outcome, RouterLog
from intelforge.models.router.router import Options
from intelforge.models.router.service import Embed, RouterService, Ticket, no_vector, settled
from intelforge.models.router.values import (
    CHARACTERS_PER_TOKEN,
    EXPECTED_OUTPUT,
    Candidate,
    Constraints,
    Judgement,
)
from intelforge.models.targets import Target, read_target, routed_urls

MOST_OPEN: Final = 10_000
"""requests under way"""
REFRESHED_SECONDS: Final = 10.0
"""after which it is looked what other processes put on record, and measured"""
IMAGE_TOKENS: Final = 1000
ANSWER: Final = "answer"
"""the purpose of what a person asks, whether or not we know who"""
LEAST_QUESTION: Final = 12
"""characters: what is shorter, such as `go on`, is said again without being asked again"""
FAILED: Final = Outcome(quality=0.0, source=Judgement.RETRY)


@dataclass(slots=True, kw_only=True)
class LentRouter:
    """See `models.protocol.Router`. One router serves all `router:` URLs of a workspace, each with its own models."""

    named: Sequence[str]
    """URLs of the setting `llm_models`"""
    catalogue: Catalogue
    log: RouterLog
    options: Options = field(default_factory=Options)
    embed: Embed = no_vector
    read: Callable[[str], Target] = read_target
    now: Callable[[], float] = time.monotonic
    _looked: float = 0.0
    _service: RouterService | None = None
    _desk: Desk | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: dict[str, str] = field(default_factory=dict)
    """names of the candidates' models, by URL"""
    _candidates: dict[str, Candidate] = field(default_factory=dict)
    """by URL"""
    _tickets: dict[str, Ticket] = field(default_factory=dict)

    @property
    def trouble(self) -> str:
        return self._desk.trouble if self._desk else ""

    def candidates(self, url: str) -> tuple[str, ...]:
        """Raises ConfigError when there is nothing to choose among."""
        urls = tuple(dict.fromkeys(routed_urls(url, self.named)))
        if len(urls) < 2:
            raise ConfigError(
                f"llm {url!r} has {'one model' if urls else 'no models'} to choose among",
                hint="list them in the setting llm_models, or write router:URL, URL",
            )
        return urls

    async def route(self, request: ChatRequest, *, url: str, among: Sequence[str] = ()) -> Route:
        """See `models.protocol.Router`."""
        urls = tuple(among) or self.candidates(url)
        service = await self.service(urls)
        tokens, output = _tokens(request), min(EXPECTED_OUTPUT, request.max_tokens or EXPECTED_OUTPUT)
        ticket = await service.route(
            _asked(request),
            among=urls,
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

    def learn(
        self,
        request: ChatRequest,
        route: Route,
        outcome: ChatResponse | Exception,
        attempts: Sequence[Attempt] = (),
    ) -> None:
        """Who failed did it badly; who replied, at what cost and in what time; how well is said later, by its call."""
        ticket = self._tickets.pop(str(route.decision.get("call")), None)
        outcomes = self._failures(route, attempts) if isinstance(outcome, Exception) else self._outcomes(route, outcome)
        if ticket and outcomes and self._desk:
            self._desk.settle(settled(ticket, *outcomes, asked=_question(request)))

    def verified(self, call: str, quality: float) -> None:
        """Says to what share the reply of a call was borne out by what it rests on; returns at once."""
        if self._desk:
            self._desk.judge(call, quality, Judgement.VERIFIED)

    async def judge(self, call: str, quality: float, source: Judgement) -> None:
        """Says how good the reply of a call was. Raises NotFoundError, InvalidInputError."""
        service = await self.service()
        await self.caught_up()
        await service.judge(call, quality, source)

    async def caught_up(self) -> None:
        """Returns when what came of calls is on record and taken in."""
        if self._desk:
            await self._desk.done()

    async def close(self) -> None:
        """Keeps what is to be learned."""
        if self._desk:
            await self._desk.close()

    async def service(self, urls: Sequence[str] = ()) -> RouterService:
        """The router, with these models among its candidates."""
        async with self._opening:
            new = [await self._candidate(url) for url in dict.fromkeys(urls) if url not in self._known]
            if self._service is None:
                self._service = await RouterService.open(new, self.log, options=self.options, embed=self.embed)
                self._desk, self._looked = Desk(self._service), self.now()
            elif new:
                self._service.add_candidates(new)
        if self._desk and self.now() - self._looked > REFRESHED_SECONDS:
            self._looked = self.now()
            await self._look_up(self._service)
            self._desk.look()
        return self._service

    async def _candidate(self, url: str) -> Candidate:
        target = self.read(url)
        candidate = await candidate_of(url, target, self.catalogue)
        self._known[url], self._candidates[url] = target.name, candidate
        return candidate

    async def _look_up(self, service: RouterService) -> None:
        """Takes in what was measured of the candidates since."""
        before = dict(self._candidates)
        changed = [now for url, one in before.items() if (now := await self._candidate(url)) != one]
        if changed:
            service.add_candidates(changed)

    def _failures(self, route: Route, attempts: Sequence[Attempt]) -> list[Outcome]:
        """Of each model that is to blame when none replied, the chosen one last; none for what is nobody's fault."""
        to_blame = {attempt.model for attempt in attempts if attempt.fault}
        return [replace(FAILED, model=url) for url in reversed(route.order) if self._known[url] in to_blame]

    def _outcomes(self, route: Route, outcome: ChatResponse) -> list[Outcome]:
        """Of each model that was asked, who replied last.

        One that was passed over, as it rests after failures or the request does not fit it, has failed too.
        """
        urls = {self._known[url]: url for url in route.order}
        replied = urls.get(outcome.model, route.order[0])
        asked = {urls.get(attempt.model, ""): attempt for attempt in outcome.attempts}
        before = route.order[: route.order.index(replied)]
        others = [_of_another(url, asked.get(url), route) for url in route.order if url in asked or url in before]
        seconds = [one.seconds for one in outcome.attempts if one.model == outcome.model and not one.error]
        came = Outcome(
            model=replied,
            cost=outcome.cost_usd,
            latency=seconds[-1] if seconds else outcome.timings.total,
            output_tokens=outcome.tokens.output,
        )
        return [*(one for one in others if one and one.model != replied), came]


def _of_another(url: str, attempt: Attempt | None, route: Route) -> Outcome | None:
    """What is known of a model that did not reply: one that was given up for a quicker one is at least so slow."""
    if attempt is None or attempt.fault:
        return replace(FAILED, model=url)
    expected = next(one["latency"] for one in route.decision["predictions"] if one["model"] == url)
    return Outcome(model=url, latency=attempt.seconds) if attempt.seconds > expected else None


def _asked(request: ChatRequest) -> str:
    """What the user said last."""
    return next((turn.text for turn in reversed(request.messages) if turn.role is Role.USER and turn.text), "")


def _tokens(request: ChatRequest) -> int:
    """About as many as the request has, by its bytes: a character of Chinese has more of both than one of English."""
    said = [_words(part) for turn in request.messages for part in turn.parts]
    said += [str(dict(tool.parameters)) + tool.description for tool in request.tools]
    said += [str(dict(request.output_schema))] if request.output_schema else []
    size = sum(len(text.encode("utf-8", "replace")) for text in said)
    return int(size / CHARACTERS_PER_TOKEN) + IMAGE_TOKENS * _images(request)


def _words(part: Part) -> str:
    match part:
        case Text() | Thinking():
            return part.text
        case ToolCall():
            return part.arguments
        case ToolResult():
            return part.content
        case Image():
            return ""


def _images(request: ChatRequest) -> int:
    return sum(isinstance(part, Image) for turn in request.messages for part in turn.parts)


def _question(request: ChatRequest) -> str:
    """The same for the same question of the same asker; empty when nobody knows who asks, or nobody asks.

    What it is about, in earlier messages and in pictures, is part of it; what was replied, and saying it twice, is not.
    """
    last, who = request.messages[-1], request.accounting
    asker = who.user or (ANSWER if who.purpose == ANSWER else "")
    if not asker or last.role is not Role.USER or len(last.text) < LEAST_QUESTION:
        return ""
    told = [turn for turn in request.messages if turn.role in (Role.SYSTEM, Role.USER)]
    about = dict.fromkeys(digest for turn in reversed(told) for part in turn.parts if (digest := _digest(part)))
    return _hashed("\0".join((asker, *request.principals, "", *about)).encode("utf-8", "replace"))


def _digest(part: Part) -> str:
    """Of a text or a picture; empty for anything else."""
    if isinstance(part, Image):
        return _hashed(part.data)
    return _hashed(part.text.encode("utf-8", "replace")) if isinstance(part, Text) else ""


def _hashed(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()

"""The router at work: reads a request, decides, keeps a record, and learns when its outcome comes."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from intelforge.core.clock import Clock, NewId, new_id, utc_now
from intelforge.core.errors import InvalidInputError
from intelforge.models.router.log import Routed, RouterLog
from intelforge.models.router.reading import read_request
from intelforge.models.router.router import ANY, Options, Router
from intelforge.models.router.state import exported, restore
from intelforge.models.router.tracker import Alarm
from intelforge.models.router.values import (
    EXPECTED_OUTPUT,
    Candidate,
    Constraints,
    Decision,
    Judgement,
    Preference,
    Vector,
)

Embed = Callable[[str], Awaitable[Vector | None]]
"""The vector of a text; None when there is no embedder."""

NAME: Final = "default"
"""under which the state is kept"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a call."""

    quality: float | None = None
    """from 0 to 1; None when nobody said yet"""
    source: Judgement = Judgement.NONE
    cost: float | None = None
    """US dollars"""
    latency: float | None = None
    """seconds"""
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A decision with what is needed to say later what came of it."""

    call: str
    decision: Decision
    routed: Routed


async def no_vector(text: str) -> None:
    """For a workspace without an embedder."""


class RouterService:
    """One router of a workspace, with its log."""

    def __init__(
        self, router: Router, log: RouterLog, *, embed: Embed = no_vector, clock: Clock = utc_now, ids: NewId = new_id
    ) -> None:
        self.router = router
        self._log = log
        self._embed = embed
        self._clock = clock
        self._ids = ids
        self._learning = asyncio.Lock()
        self._seen = b""

    @classmethod
    async def open(
        cls,
        candidates: Sequence[Candidate],
        log: RouterLog,
        *,
        options: Options | None = None,
        embed: Embed = no_vector,
    ) -> "RouterService":
        """The router with what it had learned before."""
        service = cls(Router(candidates, options), log, embed=embed)
        await service.refresh()
        return service

    async def route(
        self,
        text: str,
        *,
        preference: Preference | None = None,
        constraints: Constraints = ANY,
        input_tokens: int | None = None,
        output_tokens: int = EXPECTED_OUTPUT,
        embedded: bool = True,
    ) -> Ticket:
        """Whom a request goes to; by its form and words alone unless `embedded`.

        Raises InvalidInputError when no candidate can take it."""
        request = read_request(
            text,
            embedding=await self._embed(text) if embedded else None,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
        decision = self.router.decide(request, preference=preference, constraints=constraints)
        routed = Routed(
            id=self._ids(),
            at=self._clock(),
            request=request,
            model=decision.model,
            propensity=decision.propensity,
        )
        return Ticket(call=routed.id, decision=decision, routed=routed)

    async def settle(self, ticket: Ticket, outcome: Outcome, *, model: str | None = None) -> list[Alarm]:
        """Says what came of a call; `model` when another than the chosen one replied in the end.

        A call that another model took is learned from, and left out of what is replayed.
        """
        routed = replace(
            ticket.routed,
            model=model or ticket.routed.model,
            quality=outcome.quality,
            source=outcome.source,
            cost=outcome.cost,
            latency=outcome.latency,
            output_tokens=outcome.output_tokens,
        )
        if routed.model == ticket.routed.model:
            await self._log.record(routed)
        return await self._learned(routed)

    async def judge(self, call: str, quality: float, source: Judgement) -> list[Alarm]:
        """Says how good the reply of a recorded call was. Raises NotFoundError, InvalidInputError."""
        if source is Judgement.NONE:
            raise InvalidInputError("a judgement needs somebody who judges", hint="name its source")
        routed = await self._log.judge(call, quality, source)
        return await self._learned(replace(routed, cost=None, latency=None, output_tokens=None))

    async def save(self) -> None:
        """Keeps what was learned, for the next process."""
        state = await asyncio.to_thread(exported, self.router)
        await self._log.save(NAME, state)
        self._seen = _digest(state)

    async def refresh(self) -> None:
        """Takes over what another process kept since: a router frozen, unfrozen or imported there is so here too."""
        state = await self._log.load(NAME)
        if state is not None and _digest(state) != self._seen:
            await asyncio.to_thread(restore, self.router, state)
            self._seen = _digest(state)

    async def _learned(self, routed: Routed) -> list[Alarm]:
        alarms = self.router.observe(routed.observation)
        if self.router.due and not self._learning.locked():
            async with self._learning:
                await asyncio.to_thread(self.router.learn)
                await self.save()
        return alarms


def _digest(state: bytes) -> bytes:
    return hashlib.sha256(state).digest()

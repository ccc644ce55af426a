"""The router at work: reads a request, decides, keeps a record, and learns when its outcome comes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from intelforge.core.clock import Clock, NewId, new_id, utc_now
from intelforge.core.errors import ErrorCode, InvalidInputError, StorageError
from intelforge.models.router.log import Routed
from intelforge.models.router.policy import Spending
from intelforge.models.router.protocol import Event, Kind, Outcome, RouterLog, Settled
from intelforge.models.router.reading import read_request
from intelforge.models.router.router import ANY, Options, Router
from intelforge.models.router.state import candidates_in, exported, restore
from intelforge.models.router.tracker import Alarm
from intelforge.models.router.values import EXPECTED_OUTPUT, Candidate, Constraints, Decision, Judgement, Vector

Embed = Callable[[str], Awaitable[Vector | None]]
"""The vector of a text; None when there is no embedder."""

SAVED_EVERY: Final = 200
"""events"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A decision with what is needed to say later what came of it."""

    call: str
    decision: Decision
    routed: Routed
    era: str


async def no_vector(text: str) -> None:
    """For a workspace without an embedder."""


class RouterService:
    """One router of a workspace, with its log, which it may share with those of other processes.

    What is learned, it learns from the log: `follow` takes in what any process put there. An era is the time of one
    router from a kept state on: what it decided itself in it is in its spending already.
    """

    def __init__(
        self, router: Router, log: RouterLog, *, embed: Embed = no_vector, clock: Clock = utc_now, ids: NewId = new_id
    ) -> None:
        self.router = router
        self.used = False
        """something was put on record, here or in another process"""
        self._log = log
        self._embed = embed
        self._clock = clock
        self._ids = ids
        self._following = asyncio.Lock()
        self._learning: asyncio.Future[None] | None = None
        self._era = ids()
        self._number = 0
        self._saved = 0
        self._kept = False

    @classmethod
    async def open(
        cls,
        candidates: Sequence[Candidate],
        log: RouterLog,
        *,
        options: Options | None = None,
        embed: Embed = no_vector,
    ) -> "RouterService":
        """The router with what was learned before."""
        service = cls(Router(candidates, options), log, embed=embed)
        await service._restore()
        await service.follow()
        return service

    def add_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Who can be chosen beside those known; one of the same name takes the other's place."""
        known = {one.name: one for one in (*self.router.candidates, *candidates)}
        self.router.set_candidates(list(known.values()))

    async def route(
        self,
        text: str,
        *,
        among: Collection[str] | None = None,
        constraints: Constraints = ANY,
        input_tokens: int | None = None,
        output_tokens: int = EXPECTED_OUTPUT,
        embedded: bool = True,
    ) -> Ticket:
        """Whom a request goes to, of all candidates or those named; by its form and words alone unless `embedded`.

        Raises InvalidInputError when no candidate can take it."""
        request = read_request(
            text,
            embedding=await self._embed(text) if embedded else None,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
        decision = self.router.decide(request, constraints=constraints, among=among)
        routed = Routed(
            id=self._ids(),
            at=self._clock(),
            request=request,
            model=decision.model,
            propensity=decision.propensity,
        )
        return Ticket(call=routed.id, decision=decision, routed=routed, era=self._era)

    async def settle(self, ticket: Ticket, *outcomes: Outcome) -> list[Alarm]:
        """Puts on record what came of a call, as `settled` has it, and learns from it."""
        await self.record([settled(ticket, *outcomes)])
        return await self.follow()

    async def record(self, calls: Sequence[Settled]) -> None:
        """Puts calls on record; they are learned from by `follow`."""
        await self._log.settle(calls)

    async def judge(self, call: str, quality: float, source: Judgement) -> list[Alarm]:
        """Says how good the reply of a recorded call was, and learns from it. Raises as `note` does."""
        await self.note(call, quality, source)
        return await self.follow()

    async def note(self, call: str, quality: float, source: Judgement) -> None:
        """Puts on record how good the reply of a recorded call was. Raises NotFoundError, InvalidInputError."""
        if source is Judgement.NONE:
            raise InvalidInputError("a judgement needs somebody who judges", hint="name its source")
        await self._log.judge(call, quality, source)

    async def freeze(self) -> None:
        """From now on nothing is learned and nothing is tried out, here and in every process."""
        await self._log.mark(Kind.FREEZE)
        await self.follow()

    async def unfreeze(self) -> None:
        """Learns and explores again, here and in every process."""
        await self._log.mark(Kind.UNFREEZE)
        await self.follow()

    async def replace(self, state: bytes) -> None:
        """Puts what `exported` gave in place of all that was learned, in every process. Raises as `restore` does."""
        await self.check(state)
        await self._log.replace(state)
        await self.follow()

    async def check(self, state: bytes) -> None:
        """Raises as `restore` does when `replace` would."""
        await asyncio.to_thread(restore, Router((), self.router.options), state)

    async def follow(self) -> list[Alarm]:
        """Takes in what was put on record since, by whichever process; says which models are not what they were."""
        alarms: list[Alarm] = []
        async with self._following:
            while (events := await self._log.since(self._number)) is None or events:
                if events is None or any(event.kind is Kind.IMPORT for event in events):
                    await self._begin_anew()
                    continue
                self.used = True
                for event in events:
                    alarms += await self._take(event)
            await self._save()
        return alarms

    async def caught_up(self) -> None:
        """Returns when all that was taken in is learned."""
        async with self._following:
            await self._learned()
            if self.router.behind and not self.router.frozen:
                await asyncio.to_thread(self.router.learn)

    async def close(self) -> None:
        """Waits for what is being learned. The first state is kept, so that others know the candidates."""
        await self._learned()
        async with self._following:
            if self._number and not self._kept and self.router.candidates:
                await self._keep()

    async def _take(self, event: Event) -> list[Alarm]:
        self._number = event.number
        if event.kind is Kind.FREEZE:
            await self._learned()
            await asyncio.to_thread(self.router.freeze)
        elif event.kind is Kind.UNFREEZE:
            self.router.unfreeze()
        elif event.observation is not None and not self.router.frozen:
            if event.era != self._era:
                self.router.spending += event.spending
            alarms = self.router.observe(event.observation)
            self._learn_when_due()
            await asyncio.sleep(0)  # many events must not hold up decisions
            return alarms
        return []

    def _learn_when_due(self) -> None:
        if self.router.due and (self._learning is None or self._learning.done()):
            self._learning = asyncio.ensure_future(asyncio.to_thread(self.router.learn))

    async def _learned(self) -> None:
        if self._learning is not None:
            await asyncio.shield(self._learning)

    async def _begin_anew(self) -> None:
        """From the state that is further on than the events taken in. Raises StorageError when it is not."""
        before = self._number
        await self._restore()
        if self._number <= before:
            raise StorageError(
                "what the router learned is not complete in the database",
                hint="restore the database from a backup",
                code=ErrorCode.DAMAGED,
            )

    async def _restore(self) -> None:
        """Takes over the state that is kept. Until it has learned from it, the router before decides."""
        kept = await self._log.load()
        if kept is None:
            return
        router = await asyncio.to_thread(_opened, kept.state, self.router.candidates, self.router.options)
        router.set_candidates(self.router.candidates or router.candidates)  # some may have come meanwhile
        self.router, self._era, self.used = router, self._ids(), True
        self._number = self._saved = kept.number
        self._kept = bool(kept.state)

    async def _save(self) -> None:
        """Keeps the state now and then, so that whoever opens it has few events to take in."""
        if self._number - self._saved >= SAVED_EVERY:
            await self._keep()

    async def _keep(self) -> None:
        state = await asyncio.to_thread(exported, self.router)
        await self._log.save(state, self._number)
        self._saved, self._kept = self._number, True


def settled(ticket: Ticket, *outcomes: Outcome, asked: str = "") -> Settled:
    """A call that came to its end: the outcome of each model that was asked, who replied last.

    Only what came of asking the chosen model is replayed later on.
    """
    chosen, routed = ticket.decision.model, ticket.routed
    named = tuple(replace(one, model=one.model or chosen) for one in outcomes)
    own = next((one for one in named if one.model == chosen), Outcome())
    replied = named[-1].model if named else chosen
    predictions = ticket.decision.predictions
    expected = next(one for one in predictions if one.model == chosen)
    return Settled(
        routed=replace(
            routed,
            quality=own.quality,
            source=own.source,
            cost=own.cost,
            latency=own.latency,
            output_tokens=own.output_tokens,
            replied=replied if replied != chosen else "",
        ),
        outcomes=named,
        asked=asked,
        era=ticket.era,
        spending=Spending.of(expected, predictions[0]),
    )


def _opened(state: bytes, candidates: Sequence[Candidate], options: Options) -> Router:
    """A router with a state; one of another version, or damaged, is learned anew: no request fails for want of it."""
    router = Router(candidates, options)
    with suppress(InvalidInputError):
        if state:
            router.set_candidates(candidates or candidates_in(state))
            restore(router, state)
    return router

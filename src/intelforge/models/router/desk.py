"""Puts what came of calls on record and has the router learn from it, off the way of those calls."""

import asyncio
from contextlib import suppress
from typing import Final

from intelforge.core.errors import IntelForgeError, NotFoundError
from intelforge.models.router.protocol import Settled
from intelforge.models.router.service import RouterService
from intelforge.models.router.values import Judgement

MOST_WAITING: Final = 10_000
"""calls while the database cannot be written; what comes after them is dropped"""


class Desk:
    """Use `settle`, `judge` and `look` on an event loop, and `close` before the database closes."""

    def __init__(self, service: RouterService) -> None:
        self._service = service
        self._settled: list[Settled] = []
        self._judged: list[tuple[str, float, Judgement]] = []
        self._task: asyncio.Task[None] | None = None
        self.trouble = ""
        """why nothing was learned when it was last tried; empty when it was"""

    def settle(self, settled: Settled) -> None:
        """Takes a call that came to its end; returns at once."""
        if len(self._settled) < MOST_WAITING:
            self._settled.append(settled)
        self.look()

    def judge(self, call: str, quality: float, source: Judgement) -> None:
        """Takes a judgement of a call that was given to `settle` before, or is on record; returns at once."""
        if len(self._judged) < MOST_WAITING:
            self._judged.append((call, quality, source))
        self.look()

    def look(self) -> None:
        """Takes in what other processes put on record; returns at once."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def done(self) -> None:
        """Returns when all that was taken is on record and taken in, or cannot be."""
        if self._task is None or self._task.done():
            if not (self._settled or self._judged):
                return
            self.look()
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        await self.done()
        await self._service.close()

    async def _work(self) -> None:
        try:
            waiting = True
            while waiting:
                await self._record()
                await self._service.follow()
                waiting = bool(self._settled or self._judged)
            self.trouble = ""
        except IntelForgeError as error:
            self.trouble = f"the router does not learn: {error.message}"

    async def _record(self) -> None:
        """Leaves what could not be written where it is, for the next time."""
        if batch := tuple(self._settled):
            await self._service.record(batch)
            del self._settled[: len(batch)]
        while self._judged:
            with suppress(NotFoundError):  # it is not on record any more
                await self._service.note(*self._judged[0])
            del self._judged[0]

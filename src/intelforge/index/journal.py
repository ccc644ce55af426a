"""Keeps the record of searches off their way: gathered here, written a little later, or when the workspace closes.

No search waits for it or fails by it. What cannot be written is dropped.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from intelforge.core.errors import IntelForgeError
from intelforge.store.searches import KEPT, Search, Searches

LATER: Final = 2.0
"""seconds between a search and its record"""
AT_THE_END: Final = 2.0
"""seconds that closing waits for the record at the most"""


class SearchJournal:
    """Use `add` on an event loop, and `close` before the database closes."""

    def __init__(self, searches: Searches, *, later: float = LATER, at_the_end: float = AT_THE_END) -> None:
        self._searches = searches
        self._later = later
        self._at_the_end = at_the_end
        self._waiting: deque[Search] = deque(maxlen=KEPT)
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, search: Search) -> None:
        """Takes a search; returns at once."""
        self._waiting.append(search)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Writes what waits."""
        self._closing.set()
        if self._task and (await asyncio.wait({self._task}, timeout=self._at_the_end))[1]:
            self._task.cancel()

    async def _write(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._later):
                await self._closing.wait()
        while self._waiting:
            searches = list(self._waiting)
            self._waiting.clear()
            with suppress(IntelForgeError):
                await self._searches.record(searches)

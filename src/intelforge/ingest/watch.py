"""Watches every source and tells which to sync."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from intelforge.collect.protocol import Collector
from intelforge.core.errors import IntelForgeError
from intelforge.core.values import Source

SETTLE_SECONDS = 0.5
"""changes come in swarms; a sync waits for the swarm to end"""
RETRY_SECONDS = 30.0
"""before a source that could not be watched is tried again"""


class Watch:
    """Yields the ids of the sources that changed, until stopped."""

    def __init__(
        self, sources: Sequence[Source], collector_for: Callable[[Source], Collector], stopping: asyncio.Event
    ) -> None:
        self._sources = sources
        self._collector_for = collector_for
        self._stopping = stopping
        self._changed: set[str] = set()
        self._woken = asyncio.Event()

    async def changes(self) -> AsyncGenerator[list[str]]:
        tasks = [asyncio.create_task(self._watch(source), name=f"watch {source.uri}") for source in self._sources]
        tasks.append(asyncio.create_task(self._wake_when_stopped()))
        try:
            while True:
                await self._woken.wait()
                if self._stopping.is_set():
                    return
                await asyncio.sleep(SETTLE_SECONDS)
                self._woken.clear()
                changed, self._changed = sorted(self._changed), set()
                yield changed
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, source: Source) -> None:
        while True:
            collector = self._collector_for(source)
            try:
                async for _ in collector.watch():
                    self._changed.add(source.id)
                    self._woken.set()
            except IntelForgeError:
                # The next sync reports what is wrong with the source.
                self._changed.add(source.id)
                self._woken.set()
            finally:
                await collector.close()
            await asyncio.sleep(RETRY_SECONDS)

    async def _wake_when_stopped(self) -> None:
        await self._stopping.wait()
        self._woken.set()

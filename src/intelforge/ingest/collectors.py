"""The open collectors of one sync: a source's listing and its batches share one."""

from collections.abc import Callable

from intelforge.collect.protocol import Collector
from intelforge.core.errors import NotFoundError
from intelforge.core.values import Source
from intelforge.store.sources import Sources

CollectorFor = Callable[[Source], Collector]


class Collectors:
    """Opens collectors, and closes them all at the end."""

    def __init__(self, sources: Sources, collector_for: CollectorFor) -> None:
        self._sources = sources
        self._collector_for = collector_for
        self._open: dict[str, Collector] = {}

    async def open(self, source: Source) -> Collector:
        """A fresh collector of the source, in the place of an earlier one."""
        if earlier := self._open.pop(source.id, None):
            await earlier.close()
        return self._open.setdefault(source.id, self._collector_for(source))

    async def of(self, source_id: str) -> Collector:
        """The open collector of a source, by id. Raises NotFoundError when the source was removed."""
        if source_id not in self._open:
            source = await self._sources.get(source_id)
            if source is None:
                raise NotFoundError(f"the source {source_id} was removed", hint="run: intelforge sources")
            return self._open.setdefault(source_id, self._collector_for(source))
        return self._open[source_id]

    async def close(self) -> None:
        while self._open:
            _, collector = self._open.popitem()
            await collector.close()

"""Documents on record without a collector, for tests of what comes after."""

from collections.abc import Mapping, Sequence

from intelforge.core.values import Document, ItemRef, Source
from intelforge.store.items import Ingested, Items


class Recorder:
    """Puts documents on record for one source, without reading files."""

    def __init__(self, items: Items, source: Source) -> None:
        self._items = items
        self._source = source

    async def put(self, documents: Mapping[str, Document]) -> None:
        """By the URI of the item that is each."""
        outcomes = [Ingested(ref=ItemRef(uri=uri), content_hash=d.id, document=d) for uri, d in documents.items()]
        await self._items.record(self._source.id, outcomes)

    async def drop(self, uris: Sequence[str]) -> None:
        """The items are no longer there."""
        await self._items.gone(self._source.id, uris)

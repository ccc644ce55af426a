"""The two steps of an ingestion batch: store what the items say, then make it findable. Both are idempotent."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from intelforge.collect.protocol import Collector
from intelforge.core.errors import ErrorCode, IntelForgeError, NotFoundError
from intelforge.core.values import Document, Item, ItemRef, ItemState, Validators
from intelforge.ingest.index import Indexer
from intelforge.jobs.protocol import Payload
from intelforge.store.items import Ingested, Items, Known, Rejected

PART_ITEMS = 64
PART_BYTES = 16 * 2**20
"""what one batch holds in memory at a time"""
FRESH_DOCUMENTS = 512
FRESH_CHARACTERS = 2**16
"""documents kept in memory between the two steps, and the longest of them"""
UNKNOWN_BYTES = 2**20
"""assumed size of an item that does not tell"""

CollectorOf = Callable[[str], Awaitable[Collector]]
"""Gives the collector of a source by the source's id."""


class Refine(Protocol):
    """Refines items, each for itself: a document, or the error that item met, in the order of the items."""

    def __call__(self, items: Sequence[Item]) -> Awaitable[Sequence[Document | IntelForgeError]]: ...


class Batch:
    """The steps, bound to the parts of one workspace."""

    def __init__(
        self,
        *,
        items: Items,
        indexer: Indexer,
        collector_of: CollectorOf,
        refine: Refine,
        advanced: Callable[[int], None],
    ) -> None:
        self._items = items
        self._indexer = indexer
        self._collector_of = collector_of
        self._refine = refine
        self._advanced = advanced
        self._fresh: dict[str, Document] = {}

    async def store(self, payload: Payload) -> Payload:
        """Fetches and refines the items of a batch and records the outcome, part by part."""
        source_id, refs = payload["source"], [decode(row) for row in payload["items"]]
        collector = await self._collector_of(source_id)
        documents: dict[str, None] = {}
        for part in parts(refs):
            known = await self._items.known(source_id, [ref.uri for ref in part])
            outcomes, vanished = await self._read(collector, part, known)
            await self._items.record(source_id, outcomes)
            await self._items.gone(source_id, vanished)
            for outcome in outcomes:
                if isinstance(outcome, Ingested) and outcome.document:
                    documents[outcome.document.id] = None
                    self._remember(outcome.document)
            self._advanced(len(part))
        return {"source": source_id, "documents": list(documents)}

    async def index(self, payload: Payload) -> Payload:
        """Makes the batch's documents findable."""
        ids: list[str] = payload["documents"]
        fresh = {document_id: self._fresh.pop(document_id) for document_id in ids if document_id in self._fresh}
        await self._indexer.index(ids, fresh=fresh)
        return {}

    def _remember(self, document: Document) -> None:
        """Keeps a stored document for the next step, which then need not read it back; forgets when it is much."""
        if len(self._fresh) >= FRESH_DOCUMENTS or len(document.text) > FRESH_CHARACTERS:
            return
        self._fresh[document.id] = document

    async def _read(
        self, collector: Collector, refs: Sequence[ItemRef], known: Mapping[str, Known]
    ) -> tuple[list[Ingested | Rejected], list[str]]:
        outcomes: list[Ingested | Rejected] = []
        vanished: list[str] = []
        changed: list[tuple[Item, str]] = []
        for ref in refs:
            try:
                item = await collector.fetch(ref)
            except NotFoundError:
                vanished.append(ref.uri)
                continue
            except IntelForgeError as error:
                outcomes.append(_rejected(ref, error, known.get(ref.uri)))
                continue
            digest = hashlib.sha256(item.data).hexdigest()
            if _same(known.get(ref.uri), digest):
                outcomes.append(Ingested(ref=_read_ref(item), content_hash=digest, document=None))
            else:
                changed.append((item, digest))
        refined = await self._refine([item for item, _ in changed])
        for (item, digest), result in zip(changed, refined, strict=True):
            if isinstance(result, IntelForgeError):
                outcomes.append(_rejected(_read_ref(item), result, known.get(item.uri)))
            else:
                outcomes.append(Ingested(ref=_read_ref(item), content_hash=digest, document=result))
        return outcomes, vanished


def encode(ref: ItemRef) -> dict[str, Any]:
    """An item reference as JSON."""
    return {"uri": ref.uri} | {name: value for name, value in asdict(ref.validators).items() if value is not None}


def decode(row: Mapping[str, Any]) -> ItemRef:
    """The inverse of `encode`."""
    return ItemRef(uri=row["uri"], validators=Validators(**{name: row[name] for name in row if name != "uri"}))


def parts(refs: Sequence[ItemRef]) -> Iterator[list[ItemRef]]:
    """The references in runs small enough to be held in memory together; one large item is a run of its own."""
    part: list[ItemRef] = []
    size = 0
    for ref in refs:
        own = ref.validators.size if ref.validators.size is not None else UNKNOWN_BYTES
        if part and (len(part) >= PART_ITEMS or size + own > PART_BYTES):
            yield part
            part, size = [], 0
        part.append(ref)
        size += own
    if part:
        yield part


def _read_ref(item: Item) -> ItemRef:
    return ItemRef(uri=item.uri, validators=item.validators)


def _same(known: Known | None, digest: str) -> bool:
    return (
        known is not None
        and known.state is ItemState.READY
        and known.document_id is not None
        and known.content_hash == digest
    )


def _rejected(ref: ItemRef, error: IntelForgeError, known: Known | None) -> Rejected:
    """What cannot be read at the moment keeps its document; what is not text is skipped; the rest failed."""
    state = ItemState.FAILED
    if error.error_code is ErrorCode.UNSUPPORTED:
        state = ItemState.SKIPPED
    elif error.retryable and known is not None and known.state is ItemState.READY:
        state = ItemState.READY
    return Rejected(ref=ref, state=state, code=error.error_code, reason=str(error).removeprefix(f"{ref.uri}: "))

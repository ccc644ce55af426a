"""What a sync has to do for one source: its listing held against what is on record."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from intelforge.collect.protocol import Collector, Complete, ListingEvent, Present, Removed, Renamed, Skipped
from intelforge.core.errors import OUTCOMES, ErrorCode
from intelforge.core.values import ItemRef, ItemState, Validators
from intelforge.store.items import Known, Rejected


@dataclass(slots=True, kw_only=True)
class Listing:
    """Reads a collector's events and sorts them into work. After `read` has ended normally `complete` is set."""

    known: Mapping[str, Known]
    retry_failed: bool = False
    added: set[str] = field(default_factory=set)
    """URIs"""
    changed: set[str] = field(default_factory=set)
    unchanged: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    renamed: list[Renamed] = field(default_factory=list)
    complete: Complete | None = None
    _seen: set[str] = field(default_factory=set)
    _removed: list[str] = field(default_factory=list)

    @property
    def wants_everything(self) -> bool:
        """Whether an incremental listing would not be enough: it keeps silent about what was left undone before."""
        return any(
            item.state is ItemState.PENDING
            or (item.code and (self.retry_failed or OUTCOMES[ErrorCode(item.code)].retryable))
            for item in self.known.values()
        )

    @property
    def listed(self) -> int:
        """How many items have been seen so far."""
        return len(self._seen)

    async def read(self, collector: Collector) -> AsyncGenerator[ItemRef]:
        """The items to fetch, as they are listed. Raises what the collector raises: then nothing is gone."""
        async with aclosing(collector.list(everything=self.wants_everything)) as events:
            async for event in events:
                if (ref := self._take(event)) is not None:
                    yield ref

    def gone(self) -> list[str]:
        """URIs of items on record that are no longer there, by a listing that came to its end."""
        if self.complete is None:
            return []
        gone = [uri for uri in self._removed if uri not in self._seen]
        if self.complete.full:
            unread = self.complete.unread
            gone += [uri for uri in self.known if uri not in self._seen and not uri.startswith(unread)]
        return [uri for uri in dict.fromkeys(gone) if uri in self.known and self.known[uri].state is not ItemState.GONE]

    def _take(self, event: ListingEvent) -> ItemRef | None:
        match event:
            case Present(ref=ref):
                return self._present(ref)
            case Skipped():
                self._skip(event)
            case Removed(uri=uri):
                self._removed.append(uri)
            case Renamed(old_uri=old_uri, ref=ref):
                if not _standing(self.known.get(old_uri)):
                    return self._present(ref)
                self._seen.add(ref.uri)
                self.renamed.append(event)
            case Complete():
                self.complete = event
        return None

    def _present(self, ref: ItemRef) -> ItemRef | None:
        self._seen.add(ref.uri)
        known = self.known.get(ref.uri)
        if known is None or known.state in (ItemState.PENDING, ItemState.GONE):
            self.added.add(ref.uri)
        elif self._unchanged(known, ref.validators):
            self.unchanged += 1
            return None
        else:
            self.changed.add(ref.uri)
        return ref

    def _unchanged(self, known: Known, validators: Validators) -> bool:
        if validators == Validators() or known.validators != validators:
            return False
        if known.code and OUTCOMES[ErrorCode(known.code)].retryable:
            return False
        return not (self.retry_failed and known.state is ItemState.FAILED)

    def _skip(self, event: Skipped) -> None:
        self._seen.add(event.uri)
        known = self.known.get(event.uri)
        state = ItemState.FAILED if event.code == ErrorCode.UNREADABLE else ItemState.SKIPPED
        if known is None or (known.state, known.code, known.reason) != (state, event.code, event.reason):
            self.rejected.append(
                Rejected(ref=ItemRef(uri=event.uri), state=state, code=event.code, reason=event.reason)
            )


def _standing(known: Known | None) -> bool:
    return known is not None and known.state is ItemState.READY

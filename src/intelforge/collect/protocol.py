"""The contract of a collector: list what is there, fetch one thing, tell when something changed."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from intelforge.core.values import Item, ItemRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The item is there. Whether it changed is told by comparing its validators with those on record."""

    ref: ItemRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """The item is there and is left out by rule (hidden, binary, too large, escaping link)."""

    uri: str
    code: str
    """an ErrorCode value"""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The item is gone (told by incremental listings; a full listing tells by silence)."""

    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """The item moved and its content did not change: the document is kept."""

    old_uri: str
    ref: ItemRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The last event of a listing that came to its end. Without it nothing may be taken as gone."""

    full: bool
    """True: what was not mentioned is gone. False: what was not mentioned is unchanged."""
    cursor: str | None = None
    """to be stored with the source and given to the next listing"""
    unread: tuple[str, ...] = ()
    """URI prefixes of what could not be read: silence about items below them means nothing"""


ListingEvent = Present | Skipped | Removed | Renamed | Complete


class Collector(Protocol):
    """Collects the items of one source.

    Who stops before the end of a listing closes it (`contextlib.aclosing`); cancelling it does the same.
    """

    def list(self, *, everything: bool = False) -> AsyncGenerator[ListingEvent]:
        """Every item that is there; ends with Complete, or raises IntelForgeError when it cannot be completed.

        Never reads an item's content to find out that it is unchanged. With `everything` the listing is full whatever
        the cursor says; what else the cursor tells (that the source was there before, and where) still holds.
        """
        ...

    async def fetch(self, ref: ItemRef) -> Item:
        """The item's bytes with the validators they were read under.

        Raises ItemError (or another IntelForgeError) with the reason; NotFoundError when the item is gone meanwhile.
        """
        ...

    def watch(self) -> AsyncIterator[None]:
        """Yields whenever a new sync is worth while; ends when the collector is closed."""
        ...

    async def close(self) -> None: ...

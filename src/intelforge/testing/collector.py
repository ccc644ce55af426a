"""A source in memory, for tests of ingestion."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from intelforge.collect.protocol import Complete, ListingEvent, Present
from intelforge.core.errors import IntelForgeError, NotFoundError
from intelforge.core.values import Item, ItemRef, Validators


@dataclass(kw_only=True)
class MemoryCollector:
    """Lists and gives the texts it holds. An error set for a URI is raised when that is fetched."""

    texts: dict[str, str] = field(default_factory=dict)
    errors: dict[str, IntelForgeError] = field(default_factory=dict)
    before: list[ListingEvent] = field(default_factory=list)
    """events told before those of the texts"""
    end: Complete | IntelForgeError = field(default_factory=lambda: Complete(full=True))
    """how a listing ends: completely, or with an error after the last item"""
    asked: list[bool] = field(default_factory=list)
    """for each listing, whether it was to be of everything"""
    fetched: list[str] = field(default_factory=list)
    closed: int = 0

    async def list(self, *, everything: bool = False) -> AsyncGenerator[ListingEvent]:
        self.asked.append(everything)
        for event in self.before:
            yield event
        for uri, text in list(self.texts.items()):
            yield Present(ref=ItemRef(uri=uri, validators=validators_of(text)))
        if isinstance(self.end, IntelForgeError):
            raise self.end
        yield self.end

    async def fetch(self, ref: ItemRef) -> Item:
        self.fetched.append(ref.uri)
        if ref.uri in self.errors:
            raise self.errors[ref.uri]
        if ref.uri not in self.texts:
            raise NotFoundError(f"{ref.uri} is gone")
        text = self.texts[ref.uri]
        return Item(uri=ref.uri, data=text.encode(), media_type="text/plain", validators=validators_of(text))

    async def watch(self) -> AsyncIterator[None]:
        """Nothing ever changes by itself."""
        for _ in ():
            yield None

    async def close(self) -> None:
        self.closed += 1


def validators_of(text: str) -> Validators:
    """Validators that differ when the text differs."""
    return Validators(size=len(text.encode()), etag=str(hash(text)))

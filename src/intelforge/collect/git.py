"""A git repository at one commit: listed by tree at first, by the difference of two commits after that.

What is committed is collected; changes in a working tree are not. A remote is cloned bare into the state folder, only
the one reference that is collected.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from intelforge.collect.git_command import Git
from intelforge.collect.git_objects import ObjectReader
from intelforge.collect.git_remote import Remote
from intelforge.collect.git_tree import TreeListing
from intelforge.collect.ignores import IgnoreTree
from intelforge.collect.media import media_type
from intelforge.collect.names import path_of, uri_of
from intelforge.collect.polling import every, interval_of
from intelforge.collect.protocol import Complete, ListingEvent
from intelforge.collect.rules import Rules, fingerprint
from intelforge.core.errors import EgressError, InvalidInputError, NotFoundError
from intelforge.core.settings import Settings
from intelforge.core.values import Item, ItemRef, Source, Validators
from intelforge.security.egress import Egress, shown_url

_FIVE_MINUTES = 300.0


class GitCollector:
    """Collects the files of one commit. Item URIs are paths in the repository; the validator is the blob id.

    Options: `ref`, a branch, tag or commit (HEAD unless given); `interval`, seconds between looks when watching. The
    cursor is the commit and a fingerprint of the rules: with other rules everything is listed again.
    """

    def __init__(self, source: Source, settings: Settings, *, egress: Egress, state: Path) -> None:
        self._ref = checked_ref(source.options.get("ref", ""))
        self._interval = interval_of(source, _FIVE_MINUTES)
        self._shown = source.uri
        self._cursor = source.cursor
        self._rules = Rules(IgnoreTree(settings.ignore), max_bytes=int(settings.max_file_mb * 1e6))
        self._fingerprint = fingerprint(settings.ignore, settings.max_file_mb, self._ref)
        local = source.uri.startswith("/")
        clone = state / f"{source.id}.git"
        self._remote = None if local else Remote(source.uri, clone, self._ref, egress)
        self._git = Git(path_of(source.uri) if local else os.fsencode(clone), shown=source.uri)
        self._reader = ObjectReader(self._git)
        self._commit: str | None = None
        self._closed = asyncio.Event()

    async def list(self, *, everything: bool = False) -> AsyncGenerator[ListingEvent]:
        """Raises NotFoundError for a repository or reference that is not there, EgressError for a remote's failure."""
        commit = self._commit = await self._tip()
        cursor = f"{commit or ''}:{self._fingerprint}"
        known, _, rules = (self._cursor or "").partition(":")
        if commit is None and known:
            raise EgressError(
                f"{shown_url(self._shown)} shows no commits any more, so nothing was taken as gone",
                hint="check that the address still leads to the repository, or remove the source",
            )
        if commit is None:
            yield Complete(full=True, cursor=cursor)
            return
        listing = TreeListing(self._git, self._rules)
        comparable = not everything and bool(known) and rules == self._fingerprint
        incremental = comparable and await self._git.has_commit(known)
        events = listing.changes(known, commit) if incremental else listing.everything(commit)
        async with aclosing(events):
            async for event in events:
                yield event
        yield Complete(full=not incremental, cursor=cursor)

    async def _tip(self) -> str | None:
        """The commit to collect; None for a repository without commits."""
        if self._remote:
            return await self._remote.update()
        await self._git.check_repository()
        commit = await self._git.commit_of(self._ref or "HEAD")
        if commit is None and (self._ref or not await self._git.is_unborn()):
            raise NotFoundError(
                f"{self._shown} has no commit named {self._ref or 'HEAD'}",
                hint="set the option ref to a branch, tag or commit",
            )
        return commit

    async def fetch(self, ref: ItemRef) -> Item:
        blob = ref.validators.revision or await self._blob_at(ref.uri)
        data = await self._reader.read(blob, ref.uri, max_bytes=self._rules.max_bytes)
        return Item(
            uri=ref.uri,
            data=data,
            media_type=media_type(ref.uri, data),
            validators=Validators(size=len(data), revision=blob),
        )

    async def _blob_at(self, uri: str) -> str:
        commit = self._commit or await self._tip()
        blob = await self._git.blob_at(commit, path_of(uri)) if commit else None
        if blob is None:
            raise NotFoundError(f"{uri} is not in {self._shown}", hint="sync again")
        return blob

    def watch(self) -> AsyncGenerator[None]:
        """Yields every `interval` seconds (a source option; five minutes unless set)."""
        return every(self._interval, self._closed)

    async def close(self) -> None:
        self._closed.set()
        await self._reader.close()


def checked_ref(ref: str) -> str:
    """The reference if git would accept it as a name and could not take it for an option."""
    bad = ref.startswith(("-", "+", "/", ".")) or any(char in ref for char in " ~^:?*[\\\x7f")
    if bad or ".." in ref or "@{" in ref or not ref.isprintable():
        raise InvalidInputError(f"{uri_of(ref.encode())!r} is not a reference", hint="give a branch, tag or commit")
    return ref

"""One file that was named on purpose: rules about hidden and ignored names do not apply to it."""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing

from watchfiles import awatch

from intelforge.collect.ignores import IgnoreTree
from intelforge.collect.media import media_type
from intelforge.collect.names import path_of, uri_of
from intelforge.collect.protocol import Complete, ListingEvent, Present
from intelforge.collect.reading import read_error, read_stable
from intelforge.collect.rules import Rules
from intelforge.collect.walk import root_stat
from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.core.settings import Settings
from intelforge.core.values import Item, ItemRef, Source, Validators


class FileCollector:
    """Collects one file. The URI of its item is the name of the file; a link is followed, as it was named."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._path = path_of(source.uri)
        self._folder, self._name = os.path.split(self._path)
        self._rules = Rules(IgnoreTree(()), max_bytes=int(settings.max_file_mb * 1e6))
        self._synced = source.cursor is not None
        self._closed = asyncio.Event()

    async def list(self, *, everything: bool = False) -> AsyncGenerator[ListingEvent]:
        """Raises NotFoundError when the file is not there at first, or when its folder is gone too.

        Every listing is full.
        """
        for event in await asyncio.to_thread(self._events):
            yield event

    def _events(self) -> tuple[ListingEvent, ...]:
        uri = uri_of(self._name)
        try:
            found = os.stat(self._path)
        except FileNotFoundError as error:
            if self._synced and os.path.isdir(self._folder):
                return (Complete(full=True, cursor="gone"),)
            raise NotFoundError(
                f"the file {uri_of(self._path)} is not there", hint="check its name, or remove the source"
            ) from error
        except OSError as error:
            raise read_error(uri_of(self._path), error) from error
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInputError(f"{uri_of(self._path)} is not a file", hint="add it again as what it is")
        validators = Validators(size=found.st_size, mtime_ns=found.st_mtime_ns)
        event = self._rules.skip_file(uri, found.st_size) or Present(ref=ItemRef(uri=uri, validators=validators))
        return event, Complete(full=True, cursor="there")

    async def fetch(self, ref: ItemRef) -> Item:
        return await asyncio.to_thread(self._read, ref.uri)

    def _read(self, uri: str) -> Item:
        if path_of(uri) != self._name:
            raise NotFoundError(f"{uri} is not in this source", hint=f"it holds {uri_of(self._name)} only")
        data, validators = read_stable(
            lambda: os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK),
            uri,
            max_bytes=self._rules.max_bytes,
        )
        return Item(uri=uri, data=data, media_type=media_type(uri, data), validators=validators)

    async def watch(self) -> AsyncGenerator[None]:
        """Yields after the file was changed, replaced, removed or made again."""
        await asyncio.to_thread(root_stat, self._folder)
        wanted = os.fsdecode(self._path)
        try:
            changes = awatch(
                os.fsdecode(self._folder),
                watch_filter=lambda _, path: path == wanted,
                stop_event=self._closed,
                debounce=500,
                recursive=False,
            )
            async with aclosing(changes):
                async for _ in changes:
                    yield None
        except OSError as error:
            raise read_error(uri_of(self._folder), error) from error

    async def close(self) -> None:
        self._closed.set()

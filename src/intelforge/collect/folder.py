"""A folder: its files, listed by name and time, read one by one, watched by the operating system."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import islice

from watchfiles import Change, awatch

from intelforge.collect.ignores import IgnoreTree, folder_ignore_files, outer_ignore_files
from intelforge.collect.media import media_type
from intelforge.collect.names import path_of, uri_of
from intelforge.collect.protocol import ListingEvent
from intelforge.collect.reading import open_beneath, read_error, read_stable
from intelforge.collect.rules import Rules
from intelforge.collect.walk import Walk, beneath, root_stat
from intelforge.core.errors import ErrorCode, ItemError
from intelforge.core.settings import Settings
from intelforge.core.values import Item, ItemRef, Source

_SLICE = 1000
"""entries listed in a thread before the event loop is served"""


class FolderCollector:
    """Collects the files of a folder. Item URIs are paths relative to it, joined by `/`."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._root = path_of(source.uri)
        self._cursor = source.cursor
        self._ignore = settings.ignore
        self._max_bytes = int(settings.max_file_mb * 1e6)
        self._watched = IgnoreTree(settings.ignore)
        self._closed = asyncio.Event()

    async def list(self, *, everything: bool = False) -> AsyncGenerator[ListingEvent]:
        """Raises NotFoundError when the folder is gone, replaced or not mounted, ItemError when it is unreadable.

        Every listing is full.
        """
        tree = await asyncio.to_thread(self._fresh_tree)
        events = Walk(self._root, Rules(tree, max_bytes=self._max_bytes), self._cursor).events()
        while part := await asyncio.to_thread(lambda: list(islice(events, _SLICE))):
            for event in part:
                yield event

    async def fetch(self, ref: ItemRef) -> Item:
        return await asyncio.to_thread(self._read, ref.uri)

    def _read(self, uri: str) -> Item:
        data, validators = read_stable(lambda: self._open(uri), uri, max_bytes=self._max_bytes)
        return Item(uri=uri, data=data, media_type=media_type(uri, data), validators=validators)

    def _open(self, uri: str) -> int:
        """Opens without following links, or else the real path that the links lead to, if it is inside."""
        path = path_of(uri)
        if not path or any(part in {b"", b".", b".."} for part in path.split(b"/")):
            raise ItemError(f"{uri!r} is not the name of an item in a folder", code=ErrorCode.INVALID_INPUT)
        try:
            return open_beneath(self._root, path)
        except OSError:
            root = os.path.realpath(self._root)
            real = os.path.realpath(root + b"/" + path)
        inside = beneath(root, real)
        if inside is None:
            raise ItemError(f"{uri} is a link that leads out of the source", code=ErrorCode.BLOCKED)
        return open_beneath(root, inside)

    async def watch(self) -> AsyncGenerator[None]:
        """Yields after a file that is not left out by rule, or an ignore file, was changed."""
        await asyncio.to_thread(root_stat, self._root)
        self._watched = await asyncio.to_thread(self._fresh_tree)
        try:
            changes = awatch(
                os.fsdecode(self._root),
                watch_filter=self._wanted,
                stop_event=self._closed,
                debounce=500,
                ignore_permission_denied=True,
            )
            async with aclosing(changes):
                async for _ in changes:
                    yield None
        except OSError as error:
            raise read_error(uri_of(self._root), error) from error

    def _fresh_tree(self) -> IgnoreTree:
        return IgnoreTree(self._ignore, outer_ignore_files(self._root))

    def _wanted(self, change: Change, path: str) -> bool:
        inside = beneath(self._root, os.fsencode(path))
        if not inside:
            return inside == b""
        if inside.endswith(b".gitignore"):
            self._watched = self._fresh_tree()
            return True
        return not self._left_out(inside)

    def _left_out(self, path: bytes) -> bool:
        rules = Rules(self._watched, max_bytes=self._max_bytes)
        parts = path.split(b"/")
        for depth in range(len(parts)):
            folder = b"".join(part + b"/" for part in parts[:depth])
            if not self._watched.knows(folder):
                self._watched.put(folder, folder_ignore_files(self._root, folder))
            if rules.skip_name(folder + parts[depth], is_folder=depth < len(parts) - 1):
                return True
        return False

    async def close(self) -> None:
        self._closed.set()

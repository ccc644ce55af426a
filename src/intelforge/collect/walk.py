"""Listing a folder: names and one stat for each file, nothing opened but ignore files."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from intelforge.collect.gitignore import IgnoreFile
from intelforge.collect.ignores import folder_ignore_files
from intelforge.collect.names import uri_of
from intelforge.collect.protocol import Complete, ListingEvent, Present, Skipped
from intelforge.collect.reading import read_error
from intelforge.collect.rules import Rules
from intelforge.core.errors import ErrorCode, ItemError, NotFoundError
from intelforge.core.values import ItemRef, Validators

_Inode = tuple[int, int]


@dataclass(slots=True)
class Walk:
    """One walk over a folder. Links are followed after everything that is really there, so that each folder is
    listed once and under its own name if it has one below the root."""

    root: bytes
    rules: Rules
    cursor: str | None = None
    unread: list[str] = field(default_factory=list)
    _visited: dict[_Inode, str] = field(default_factory=dict)
    _links: list[tuple[bytes, bytes]] = field(default_factory=list)
    _real_root: bytes = b""

    def events(self) -> Iterator[ListingEvent]:
        """Every entry in a fixed order, then Complete. Raises NotFoundError or ItemError for the root itself."""
        shown = uri_of(self.root)
        start = root_stat(self.root)
        self._real_root = os.path.realpath(self.root)
        self._visited[_inode(start)] = ""
        self._check_mounted(start)
        yield from self._below(b"")
        while self._links:
            path, target = self._links.pop(0)
            yield from self._linked_folder(path, target)
        if _inode(root_stat(self.root)) != _inode(start):
            raise NotFoundError(f"the folder {shown} was replaced while it was listed", hint="sync again")
        yield Complete(full=True, cursor=str(start.st_dev), unread=tuple(self.unread))

    def _check_mounted(self, root: os.stat_result) -> None:
        """A drive that is not mounted leaves an empty folder on another device: that is no sign of deletion."""
        try:
            empty = not os.listdir(self.root)
        except OSError as error:
            raise read_error(uri_of(self.root), error) from error
        if empty and self.cursor and self.cursor != str(root.st_dev):
            raise NotFoundError(
                f"the folder {uri_of(self.root)} is empty and on another device than before", hint="mount its drive"
            )

    def _below(self, start: bytes) -> Iterator[ListingEvent]:
        """Everything below a folder, given as a path that is empty or ends with a slash."""
        pending = [start]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(self.root + b"/" + folder) as scan:
                    entries = sorted(scan, key=lambda entry: entry.name)
            except OSError as error:
                yield from self._unreadable(folder, error)
                continue
            yield from self._read_ignore_files(folder, {entry.name for entry in entries})
            inner: list[bytes] = []
            for entry in entries:
                yield from self._entry(folder + entry.name, entry, inner)
            pending.extend(reversed(inner))

    def _entry(self, path: bytes, entry: os.DirEntry[bytes], inner: list[bytes]) -> Iterator[ListingEvent]:
        is_folder = entry.is_dir(follow_symlinks=False)
        skipped = self.rules.skip_name(path, is_folder=is_folder)
        if skipped:
            yield skipped
            return
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError as error:
            yield from self._unreadable(path, error)
            return
        if is_folder:
            yield from self._enter(path, found, inner)
        elif entry.is_symlink():
            yield from self._link(path)
        else:
            yield self._file(path, found)

    def _enter(self, path: bytes, found: os.stat_result, inner: list[bytes]) -> Iterator[ListingEvent]:
        known = self._visited.setdefault(_inode(found), uri_of(path) + "/")
        if known == uri_of(path) + "/":
            inner.append(path + b"/")
        else:
            yield _skip(uri_of(path) + "/", ErrorCode.IGNORED, f"the same folder as {known or 'the source itself'}")

    def _file(self, path: bytes, found: os.stat_result) -> ListingEvent:
        uri = uri_of(path)
        if not stat.S_ISREG(found.st_mode):
            return _skip(uri, ErrorCode.UNSUPPORTED, "is not a regular file (pipe, socket or device)")
        skipped = self.rules.skip_file(uri, found.st_size)
        return skipped or Present(
            ref=ItemRef(uri=uri, validators=Validators(size=found.st_size, mtime_ns=found.st_mtime_ns))
        )

    def _link(self, path: bytes) -> Iterator[ListingEvent]:
        uri = uri_of(path)
        try:
            target = os.path.realpath(self.root + b"/" + path, strict=True)
            found = os.stat(target)
        except FileNotFoundError:
            yield _skip(uri, ErrorCode.NOT_FOUND, "a link to nothing")
            return
        except OSError as error:
            yield _skip(uri, ErrorCode.UNREADABLE, f"a link that cannot be followed: {error.strerror}")
            return
        inside = beneath(self._real_root, target)
        if inside is None:
            yield _skip(uri, ErrorCode.BLOCKED, "a link that leads out of the source")
        elif any(part.startswith(b".") for part in inside.split(b"/")):
            yield _skip(uri, ErrorCode.IGNORED, "a link to something hidden")
        elif stat.S_ISDIR(found.st_mode):
            self._links.append((path, target))
        else:
            yield self._file(path, found)

    def _linked_folder(self, path: bytes, target: bytes) -> Iterator[ListingEvent]:
        try:
            found = os.stat(target)
        except OSError as error:
            yield from self._unreadable(path + b"/", error)
            return
        inner: list[bytes] = []
        yield from self._enter(path, found, inner)
        for folder in inner:
            yield from self._below(folder)

    def _unreadable(self, path: bytes, error: OSError) -> Iterator[ListingEvent]:
        if not path:
            raise read_error(uri_of(self.root), error) from error
        if isinstance(error, FileNotFoundError):
            return
        uri = uri_of(path)
        self.unread.append(uri)
        yield _skip(uri, ErrorCode.UNREADABLE, f"cannot be read: {error.strerror}")

    def _read_ignore_files(self, folder: bytes, names: set[bytes]) -> Iterator[ListingEvent]:
        files: list[IgnoreFile] = []
        if names & {b".gitignore", b".git"}:
            try:
                files = folder_ignore_files(self.root, folder)
            except ItemError as error:
                yield _skip(uri_of(folder + b".gitignore"), error.error_code, error.message)
        self.rules.tree.put(folder, files)


def beneath(root: bytes, path: bytes) -> bytes | None:
    """The real path relative to the real root; None when it is outside."""
    if path == root:
        return b""
    prefix = root.rstrip(b"/") + b"/"
    return path.removeprefix(prefix) if path.startswith(prefix) else None


def root_stat(root: bytes) -> os.stat_result:
    """Raises NotFoundError or ItemError for what is not a folder that can be looked at."""
    shown = uri_of(root)
    try:
        found = os.stat(root)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise NotFoundError(
                f"the folder {shown} is not there", hint="mount its drive, or remove the source"
            ) from error
        raise read_error(shown, error) from error
    if not stat.S_ISDIR(found.st_mode):
        raise NotFoundError(f"{shown} is not a folder", hint="remove the source and add it again")
    return found


def _inode(found: os.stat_result) -> _Inode:
    return found.st_dev, found.st_ino


def _skip(uri: str, code: ErrorCode, reason: str) -> Skipped:
    return Skipped(uri=uri, code=code.value, reason=reason)

"""The ignore files that speak for a source: the workspace's list, each folder's .gitignore, and those above."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from intelforge.collect.gitignore import IgnoreFile
from intelforge.collect.names import uri_of
from intelforge.collect.reading import read_stable
from intelforge.core.errors import ItemError, NotFoundError

_MAX_BYTES = 1_000_000
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """An ignore file above the source; `prefix` leads from its folder to the source and ends with a slash."""

    file: IgnoreFile
    prefix: bytes


class IgnoreTree:
    """Decides about paths: the workspace's list first, then the nearest ignore file, then outward.

    Paths are relative to the source and joined by `/`; folders are named with a slash at the end, the source itself
    is the empty path. Only the path itself is decided: who walks does not enter what is ignored.
    """

    def __init__(self, ignore: Iterable[str], outer: Iterable[Outer] = ()) -> None:
        self._workspace = IgnoreFile("the setting ignore", [line.encode("utf-8", "surrogateescape") for line in ignore])
        self._outer = tuple(outer)
        self._inner: dict[bytes, tuple[IgnoreFile, ...]] = {}

    def knows(self, folder: bytes) -> bool:
        return folder in self._inner

    def put(self, folder: bytes, files: Iterable[IgnoreFile]) -> None:
        """Sets the ignore files that speak for a folder, the strongest first."""
        self._inner[folder] = tuple(files)

    def reason(self, path: bytes, *, is_folder: bool) -> str | None:
        """Which pattern of which file leaves the path out, or None."""
        for file, relative in self._speaking_for(path):
            pattern = file.decide(relative, is_folder=is_folder)
            if pattern:
                return None if pattern.negated else f"ignored by {file.origin} (pattern {pattern.text})"
        return None

    def _speaking_for(self, path: bytes) -> Iterable[tuple[IgnoreFile, bytes]]:
        yield self._workspace, path
        folder = path.rpartition(b"/")[0]
        while folder:
            for file in self._inner.get(folder + b"/", ()):
                yield file, path[len(folder) + 1 :]
            folder = folder.rpartition(b"/")[0]
        for file in self._inner.get(b"", ()):
            yield file, path
        for outer in self._outer:
            yield outer.file, outer.prefix + path


def read_ignore_file(path: bytes, shown: str) -> IgnoreFile | None:
    """The patterns of an ignore file; None when it is not there. Raises ItemError when it cannot be read."""
    try:
        data, _ = read_stable(lambda: os.open(path, _FLAGS), shown, max_bytes=_MAX_BYTES)
    except NotFoundError:
        return None
    return IgnoreFile.parse(shown, data)


def folder_ignore_files(root: bytes, folder: bytes) -> list[IgnoreFile]:
    """The ignore files of one folder of a source, the strongest first. Raises ItemError for one it cannot read."""
    paths = (folder + b".gitignore", folder + b".git/info/exclude")
    return [file for path in paths if (file := read_ignore_file(root + b"/" + path, uri_of(path)))]


def outer_ignore_files(root: bytes) -> list[Outer]:
    """The ignore files above a folder in the repository that holds it, the strongest first.

    None of them when they leave out the folder itself: who names it wants it.
    """
    path = os.path.realpath(root)
    top = _repository_above(path)
    if top is None:
        return []
    parts = path[len(top) :].strip(b"/").split(b"/")
    tree, outer = IgnoreTree(()), list[Outer]()
    for depth in range(len(parts)):
        folder = b"".join(part + b"/" for part in parts[:depth])
        names = (b".gitignore",) if depth else (b".gitignore", b".git/info/exclude")
        files = [file for name in names if (file := _read_outer(os.path.join(top, folder + name)))]
        tree.put(folder, files)
        prefix = b"".join(part + b"/" for part in parts[depth:])
        outer = [Outer(file=file, prefix=prefix) for file in files] + outer
    inside = (b"/".join(parts[: depth + 1]) for depth in range(len(parts)))
    return [] if any(tree.reason(folder, is_folder=True) for folder in inside) else outer


def _repository_above(path: bytes) -> bytes | None:
    folder = path
    while not os.path.lexists(os.path.join(folder, b".git")):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return None
    return None if folder == path else folder


def _read_outer(path: bytes) -> IgnoreFile | None:
    """An ignore file above the source that cannot be read says nothing: the source itself is what was asked for."""
    try:
        return read_ignore_file(path, uri_of(path))
    except ItemError:
        return None

"""Reading one regular file: under a cap, never through a link that was not meant, and never half old and half new."""

import os
import stat
import time
from collections.abc import Callable

from intelforge.core.errors import ErrorCode, ItemError, NotFoundError
from intelforge.core.values import Validators

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_TICK_NS = 20_000_000
"""longer than the steps in which kernels advance file times"""
_PIECE = 1 << 20


def open_beneath(root: bytes, path: bytes) -> int:
    """Opens a relative path below `root` without following links anywhere on the way. Raises OSError."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        *parents, name = path.split(b"/")
        for parent in parents:
            inner = os.open(parent, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def read_stable(
    opener: Callable[[], int], uri: str, *, max_bytes: int, now_ns: Callable[[], int] = time.time_ns
) -> tuple[bytes, Validators]:
    """The whole file and the validators it was read under; reads once more if it changed meanwhile.

    Raises NotFoundError when it is gone; ItemError with UNREADABLE, UNSUPPORTED (not a regular file), TOO_LARGE or
    CHANGED_WHILE_READ.
    """
    for _ in range(2):
        try:
            found = _read_once(opener, uri, max_bytes, now_ns)
        except OSError as error:
            raise read_error(uri, error) from error
        if found:
            return found
    raise ItemError(
        f"{uri} changes while it is read", hint="sync again when it is at rest", code=ErrorCode.CHANGED_WHILE_READ
    )


def read_error(uri: str, error: OSError) -> ItemError | NotFoundError:
    """What a failure of the file system means for an item."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFoundError(f"{uri} is gone", hint="sync again")
    return ItemError(
        f"{uri} cannot be read: {error.strerror or error}", hint="check its permissions", code=ErrorCode.UNREADABLE
    )


def _read_once(
    opener: Callable[[], int], uri: str, max_bytes: int, now_ns: Callable[[], int]
) -> tuple[bytes, Validators] | None:
    descriptor = opener()
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise ItemError(f"{uri} is not a regular file", hint="leave it out", code=ErrorCode.UNSUPPORTED)
        if before.st_size > max_bytes:
            raise _too_large(uri, max_bytes)
        data = _read_all(descriptor, before.st_size, max_bytes)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise _too_large(uri, max_bytes)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
        return None
    return data, _validators(after, now_ns())


def _read_all(descriptor: int, expected: int, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while total <= max_bytes:
        # One byte more than expected shows growth without another round.
        part = os.read(descriptor, min(max(expected - total, 0) + 1, _PIECE))
        if not part:
            break
        parts.append(part)
        total += len(part)
    return b"".join(parts)


def _validators(found: os.stat_result, now_ns: int) -> Validators:
    """A file written within the present tick may be written again without its time showing it: its time is left out."""
    tick = 2_000_000_000 if found.st_mtime_ns % 1_000_000_000 == 0 else _TICK_NS
    settled = not 0 <= now_ns - found.st_mtime_ns < tick
    return Validators(size=found.st_size, mtime_ns=found.st_mtime_ns if settled else None)


def _too_large(uri: str, max_bytes: int) -> ItemError:
    return ItemError(f"{uri} is larger than {max_bytes / 1e6:g} MB", hint="raise max_file_mb", code=ErrorCode.TOO_LARGE)

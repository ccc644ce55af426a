"""Reading blobs through one git process that stays."""

import asyncio
import re

from intelforge.collect.git_command import Git, end, kill
from intelforge.core.errors import ErrorCode, InvalidInputError, ItemError, NotFoundError

_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class ObjectReader:
    """`git cat-file --batch` for one repository: started at the first read, started anew after a failure."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = asyncio.Lock()
        self._running: asyncio.subprocess.Process | None = None

    async def read(self, blob: str, uri: str, *, max_bytes: int) -> bytes:
        """The bytes of a blob. Raises NotFoundError when it is not there (any more), ItemError."""
        if not _OBJECT_ID.fullmatch(blob):
            raise InvalidInputError(f"{blob[:80]!r} is not the id of a git object")
        async with self._lock:
            try:
                return await self._ask(blob, uri, max_bytes)
            except NotFoundError:
                raise
            except BaseException:
                # The process is in the middle of an answer that nobody will read.
                await self._stop()
                raise

    async def _ask(self, blob: str, uri: str, max_bytes: int) -> bytes:
        running = self._running = self._running or await self._git.start("cat-file", "--batch")
        if running.stdin is None or running.stdout is None:
            raise self._git.failure("its pipes are closed")
        try:
            running.stdin.write(blob.encode("ascii") + b"\n")
            await running.stdin.drain()
            header = (await running.stdout.readuntil(b"\n")).split()
            if header[-1] == b"missing":
                raise NotFoundError(f"{uri} is not in {self._git.shown} any more", hint="sync again")
            size = int(header[2])
            if header[1] != b"blob" or size > max_bytes:
                raise _unwanted(uri, header[1], max_bytes)
            return (await running.stdout.readexactly(size + 1))[:-1]
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise self._git.failure("it ended while an object was read") from error

    async def _stop(self) -> None:
        running, self._running = self._running, None
        if running:
            await end(running)

    async def close(self) -> None:
        """Waits for the reads under way; when that wait is cancelled the process is ended all the same."""
        try:
            async with self._lock:
                await self._stop()
        except asyncio.CancelledError:
            if self._running:
                kill(self._running)  # who reads from it takes up what it leaves
            raise


def _unwanted(uri: str, kind: bytes, max_bytes: int) -> ItemError:
    if kind != b"blob":
        return ItemError(f"{uri} is a git {kind.decode()}, not a file", code=ErrorCode.UNSUPPORTED)
    return ItemError(f"{uri} is larger than {max_bytes / 1e6:g} MB", hint="raise max_file_mb", code=ErrorCode.TOO_LARGE)

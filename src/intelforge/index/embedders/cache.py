"""Vectors that were computed before, by model and text: the latest in memory, all of them in one SQLite file.

The cache may be lost at any time: a damaged file is begun again, and what cannot be read or written is computed.
"""

import asyncio
import hashlib
import sqlite3
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from intelforge.core.cache_file import CacheFile, shrink
from intelforge.index.protocol import TextKind

Vector = NDArray[np.float32]
"""Shape (dimensions,)."""
Result = TypeVar("Result")

MEMORY_BYTES: Final = 32 << 20
DISK_BYTES: Final = 512 << 20
STALE_SECONDS: Final = 3600.0
"""A vector's last use is noted no more often than this, so that most hits write nothing."""
VARIABLES: Final = 500
"""keys asked for in one statement"""
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS vectors (key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL, used REAL NOT NULL);
CREATE INDEX IF NOT EXISTS vectors_used ON vectors (used);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCounts:
    """What a cache was asked for since it was opened, in texts."""

    hits: int
    misses: int


def cache_key(embedder: str, kind: TextKind, text: str) -> bytes:
    """32 bytes that stand for a text as an embedder of this name embeds it."""
    parts = (embedder.encode(), kind.encode(), text.encode("utf-8", "surrogatepass"))
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


class EmbeddingCache:
    """Vectors by key. Any number of tasks and processes may use one file. Nothing here raises for want of a disk."""

    def __init__(
        self,
        path: Path,
        *,
        memory_bytes: int = MEMORY_BYTES,
        disk_bytes: int = DISK_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """The file and its folder are made when the first vector comes."""
        self._memory = _Memory(memory_bytes)
        self._file = _File(path, disk_bytes, clock)
        self._one_at_a_time = threading.Lock()
        self._hits = 0
        self._misses = 0

    @property
    def counts(self) -> CacheCounts:
        return CacheCounts(hits=self._hits, misses=self._misses)

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The vectors that are here; keys without one are left out."""
        found = self._memory.get(keys)
        if missing := [key for key in keys if key not in found]:
            stored = await self._in_thread(lambda: self._file.get(missing))
            self._memory.put(stored)
            found |= stored
        hits = sum(key in found for key in keys)
        self._hits += hits
        self._misses += len(keys) - hits
        return found

    async def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Keeps vectors, and lets those longest unused go when there are too many."""
        self._memory.put(vectors)
        await self._in_thread(lambda: self._file.put(vectors))

    async def close(self) -> None:
        """Closes the file; it is opened again when it is needed again."""
        await self._in_thread(self._file.close)

    async def _in_thread(self, act: Callable[[], Result]) -> Result:
        """Runs what uses the file; a caller that is cancelled leaves it to end what it does."""

        def alone() -> Result:
            with self._one_at_a_time:
                return act()

        return await asyncio.to_thread(alone)


class _Memory:
    """The vectors used last, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._size = 0
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        found = {key: self._vectors[key] for key in keys if key in self._vectors}
        for key in found:
            self._vectors.move_to_end(key)
        return found

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        for key, vector in vectors.items():
            if (old := self._vectors.pop(key, None)) is not None:
                self._size -= old.nbytes
            self._vectors[key] = vector
            self._size += vector.nbytes
        while self._size > self._most:
            _, oldest = self._vectors.popitem(last=False)
            self._size -= oldest.nbytes


class _File:
    """The vectors on disk. Used from one thread at a time."""

    def __init__(self, path: Path, most_bytes: int, clock: Callable[[], float]) -> None:
        self._file = CacheFile(path, _TABLE)
        self._most = most_bytes
        self._clock = clock

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        # Nothing is asked of a file that is not there, so that reading makes none.
        return self._file.tried(lambda opened: self._get(opened, keys), {}) if self._file.path.exists() else {}

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        rows = [(key, _packed(vector), self._clock()) for key, vector in vectors.items()]
        self._file.tried(lambda opened: self._put(opened, rows), None)

    def close(self) -> None:
        self._file.close()

    def _get(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        found: dict[bytes, Vector] = {}
        stale: list[tuple[float, bytes]] = []
        now = self._clock()
        for start in range(0, len(keys), VARIABLES):
            part = keys[start : start + VARIABLES]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, vector, used FROM vectors WHERE key IN ({marks})"  # noqa: S608 - question marks alone
            for key, blob, used in connection.execute(query, part):
                if (vector := _unpacked(blob)) is not None:
                    found[key] = vector
                    stale += [(now, key)] * (now - used > STALE_SECONDS)
        if stale:
            with connection:
                connection.executemany("UPDATE vectors SET used = ? WHERE key = ?", stale)
        return found

    def _put(self, connection: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes, float]]) -> None:
        with connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            shrink(connection, "vectors", most_bytes=self._most)


def _packed(vector: Vector) -> bytes:
    data = np.ascontiguousarray(vector, "<f4").tobytes()
    return zlib.crc32(data).to_bytes(4, "big") + data


def _unpacked(blob: object) -> Vector | None:
    """None for what is no vector, or not the one that was written."""
    if not isinstance(blob, bytes) or len(blob) < 8 or len(blob) % 4:
        return None
    data = blob[4:]
    if zlib.crc32(data).to_bytes(4, "big") != blob[:4]:
        return None
    return np.frombuffer(data, "<f4").astype(np.float32)

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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from intelforge.index.protocol import TextKind

Vector = NDArray[np.float32]
"""Shape (dimensions,)."""
Result = TypeVar("Result")

MEMORY_BYTES: Final = 32 << 20
DISK_BYTES: Final = 512 << 20
BUSY_SECONDS: Final = 2.0
"""how long a read or write waits for another process before it does without"""
STALE_SECONDS: Final = 3600.0
"""A vector's last use is noted no more often than this, so that most hits write nothing."""
EVICTED: Final = 0.1
"""share of the vectors, those longest unused, that goes when the file is full"""
VARIABLES: Final = 500
"""keys asked for in one statement"""
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
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
        self._path = path
        self._most = most_bytes
        self._clock = clock
        self._connection: sqlite3.Connection | None = None

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        # Nothing is asked of a file that is not there, so that reading makes none.
        return self._tried(lambda opened: self._get(opened, keys), {}) if self._path.exists() else {}

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        rows = [(key, _packed(vector), self._clock()) for key, vector in vectors.items()]
        self._tried(lambda opened: self._put(opened, rows), None)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                connection.close()

    def _tried(self, act: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        """What `act` gives, at the second try if need be; `otherwise` when that fails. A damaged file is deleted."""
        for _ in range(2):
            try:
                return act(self._opened())
            except (sqlite3.Error, OSError) as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                self.close()
                if code in _DAMAGED:
                    self._delete()
                elif code != sqlite3.SQLITE_BUSY:
                    break
        return otherwise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
            self._connection = connection
            # A power cut may lose the last vectors, and never damages the file.
            connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + _TABLE)
        return self._connection

    def _delete(self) -> None:
        for ending in ("-wal", "-shm", ""):
            with suppress(OSError):
                self._path.with_name(self._path.name + ending).unlink()

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
            while self._size(connection) > self._most:
                connection.execute(
                    "DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY used, rowid LIMIT "
                    "(SELECT 1 + CAST(count(*) * ? AS INTEGER) FROM vectors))",
                    (EVICTED,),
                )
                if not connection.execute("SELECT 1 FROM vectors LIMIT 1").fetchone():
                    break

    def _size(self, connection: sqlite3.Connection) -> int:
        """Bytes in use; pages set free are used again before the file grows."""
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


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

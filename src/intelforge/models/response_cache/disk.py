"""Replies in one SQLite file, which any number of tasks and processes may use."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from intelforge.core.cache_file import CacheFile, shrink
from intelforge.models.response_cache.protocol import Question

Result = TypeVar("Result")

SIZE_BYTES: Final = 256 << 20
LIFE_SECONDS: Final = 7 * 86_400.0
QUESTIONS: Final = 500
"""of one frame that a question is compared with"""
STALE_SECONDS: Final = 60.0
"""A reply's last use is noted no more often than this, so that most hits write nothing."""
FILE: Final = "responses.db"
TROUBLE: Final = "the response cache on disk cannot be used"
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, until REAL NOT NULL, used REAL NOT NULL,
    frame BLOB, question TEXT, vector BLOB);
CREATE INDEX IF NOT EXISTS replies_used ON replies (used);
CREATE INDEX IF NOT EXISTS replies_frame ON replies (frame) WHERE frame IS NOT NULL;
"""


class DiskReplies:
    """Replies on disk. Nothing here raises for want of a disk; a damaged file is begun again."""

    def __init__(
        self,
        path: Path,
        *,
        life: float = LIFE_SECONDS,
        size: int = SIZE_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`path` is the file; `life` is in seconds and `size` in bytes."""
        self._file = CacheFile(path, _TABLE)
        self._life = life
        self._size = size
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        self.trouble = ""

    async def get(self, key: bytes) -> bytes | None:
        return await self._in_thread(lambda opened: self._get(opened, key), None)

    async def put(self, key: bytes, value: bytes, *, question: Question | None = None, frame: bytes = b"") -> None:
        now = self._clock()
        asked = (frame, question.text, question.vector) if question else (None, None, None)
        row = (key, value, now + self._life, now, *asked)
        await self._in_thread(lambda opened: self._put(opened, row), None)

    async def questions(self, frame: bytes) -> Sequence[Question]:
        query = (
            "SELECT key, question, vector FROM replies WHERE frame = ? AND until > ? "
            "ORDER BY used DESC, rowid DESC LIMIT ?"
        )
        arguments = (frame, self._clock(), QUESTIONS)
        none: list[tuple[bytes, str, bytes]] = []
        rows = await self._in_thread(lambda opened: opened.execute(query, arguments).fetchall(), none)
        return [Question(key=key, text=text, vector=vector) for key, text, vector in rows]

    async def clear(self) -> int:
        def clear(opened: sqlite3.Connection) -> int:
            with opened:
                return opened.execute("DELETE FROM replies").rowcount

        return await self._in_thread(clear, 0)

    async def count(self) -> int:
        query = "SELECT count(*) FROM replies WHERE until > ?"
        return await self._in_thread(lambda opened: int(opened.execute(query, (self._clock(),)).fetchone()[0]), 0)

    async def close(self) -> None:
        await asyncio.to_thread(self._file.close)

    def _get(self, opened: sqlite3.Connection, key: bytes) -> bytes | None:
        row = opened.execute("SELECT value, until, used FROM replies WHERE key = ?", (key,)).fetchone()
        now = self._clock()
        if row is None or row[1] <= now or not isinstance(row[0], bytes):
            return None
        if now - row[2] > STALE_SECONDS:
            with opened:
                opened.execute("UPDATE replies SET used = ? WHERE key = ?", (now, key))
        return row[0]

    def _put(self, opened: sqlite3.Connection, row: tuple[object, ...]) -> None:
        with opened:
            opened.execute("DELETE FROM replies WHERE until <= ?", (self._clock(),))
            opened.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            shrink(opened, "replies", most_bytes=self._size)

    async def _in_thread(self, act: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        done = False

        def noted(opened: sqlite3.Connection) -> Result:
            nonlocal done
            result = act(opened)
            done = True
            return result

        def alone() -> Result:
            with self._one_at_a_time:
                return self._file.tried(noted, otherwise)

        result = await asyncio.to_thread(alone)
        self.trouble = "" if done else f"{TROUBLE}: {self._file.path}"
        return result

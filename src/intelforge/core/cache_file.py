"""A SQLite file that may be lost at any time: for what can be computed or asked again."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from intelforge.core.write_ahead import write_ahead

Result = TypeVar("Result")

BUSY_SECONDS: Final = 2.0
"""how long a read or write waits for another process before it does without"""
EVICTED: Final = 0.1
"""share of the rows, those longest unused, that goes when the file is full"""
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class CacheFile:
    """One file, used from one thread at a time. Nothing here raises for want of a disk; a damaged file is deleted."""

    def __init__(self, path: Path, schema: str) -> None:
        """`schema` makes the tables unless they are there. The file and its folder are made when first written."""
        self.path = path
        self._schema = schema
        self._connection: sqlite3.Connection | None = None

    def tried(self, act: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        """What `act` gives, at the second try if need be; `otherwise` when that fails."""
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

    def close(self) -> None:
        """Closes the file; it is opened again when it is needed again."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
            self._connection = connection
            # A power cut may lose what was written last, and never damages the file.
            write_ahead(connection.execute)
            connection.executescript("PRAGMA synchronous = NORMAL;" + self._schema)
        return self._connection

    def _delete(self) -> None:
        for ending in ("-wal", "-shm", ""):
            with suppress(OSError):
                self.path.with_name(self.path.name + ending).unlink()


def shrink(connection: sqlite3.Connection, table: str, *, most_bytes: int) -> None:
    """Deletes the rows of a table longest unused, by its column `used`, until the file is no larger than it may be."""
    while bytes_in_use(connection) > most_bytes:
        connection.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY used, rowid LIMIT "  # noqa: S608
            f"(SELECT 1 + CAST(count(*) * ? AS INTEGER) FROM {table}))",
            (EVICTED,),
        )
        if not connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone():  # noqa: S608 - a name of our own
            break


def bytes_in_use(connection: sqlite3.Connection) -> int:
    """Bytes in use; pages set free are used again before the file grows."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)

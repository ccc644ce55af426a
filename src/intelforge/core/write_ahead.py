"""SQLite's write-ahead log, for files that several processes may open at the same moment."""

import sqlite3
import time
from collections.abc import Callable
from typing import Final

PAUSE: Final = 0.01
PATIENCE: Final = 5.0
"""seconds"""


def write_ahead(execute: Callable[[str], object]) -> None:
    """Switches a file to it, waiting for another that does so too: SQLite itself fails then, whatever its timeout.

    Raises sqlite3.OperationalError when the file stays locked, or cannot be switched for another reason.
    """
    latest = time.monotonic() + PATIENCE
    while True:
        try:
            execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > latest:
                raise
        time.sleep(PAUSE)

"""Switching a new file to the write-ahead log while another process is at it."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from intelforge.core import write_ahead as module
from intelforge.core.write_ahead import write_ahead


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A file, not yet of that kind, that another connection writes to."""
    path = tmp_path / "new.db"
    with closing(connect(path)) as first:
        first.execute("CREATE TABLE kept (word)")
    return path


def mode(path: Path) -> str:
    with closing(connect(path)) as opened:
        return str(opened.execute("PRAGMA journal_mode").fetchone()[0])


def test_it_waits_for_whoever_holds_the_file(locked: Path) -> None:
    with closing(connect(locked)) as other, closing(connect(locked)) as mine:
        other.execute("BEGIN IMMEDIATE")
        tried = threading.Event()

        def execute(statement: str) -> None:
            try:
                mine.execute(statement)
            finally:
                tried.set()

        waiting = threading.Thread(target=write_ahead, args=(execute,))
        waiting.start()
        assert tried.wait(10)
        other.execute("COMMIT")
        waiting.join(10)
        assert not waiting.is_alive()
    assert mode(locked) == "wal"


def test_it_does_not_wait_for_ever(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with closing(connect(locked)) as other, closing(connect(locked)) as mine:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_ahead(mine.execute)


def test_a_file_that_is_no_database_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 1000)
    with closing(connect(tmp_path / "text")) as mine, pytest.raises(sqlite3.DatabaseError, match="not a database"):
        write_ahead(mine.execute)

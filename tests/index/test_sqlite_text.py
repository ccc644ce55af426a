import sqlite3
from pathlib import Path
from typing import Any

import pytest

from intelforge.core.errors import BusyError, ErrorCode, StorageError
from intelforge.core.values import Chunk
from intelforge.index import sqlite_text
from intelforge.index.protocol import EVERYTHING, NOTHING_KNOWN
from intelforge.index.sqlite_text import TextIndex, translated


def chunk(name: str, text: str) -> Chunk:
    return Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)


def found(index: TextIndex, query: str) -> list[str]:
    return [hit.document_id for hit in index.search(query, limit=5, where=EVERYTHING)]


def opened(path: Path) -> TextIndex:
    index = TextIndex(path)
    index.open()
    return index


def write(index: TextIndex, *statements: str) -> None:
    with index.writing() as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    index = opened(tmp_path / "x.sqlite")
    index.add([chunk("a", "kept")], NOTHING_KNOWN)
    with pytest.raises(StorageError, match="no such table"):
        write(index, "DELETE FROM words", "DELETE FROM missing")
    assert found(index, "kept") == ["a"]
    index.close()


def test_only_the_rarest_words_of_a_long_query_count(tmp_path: Path) -> None:
    index = opened(tmp_path / "x.sqlite")
    often = [f"often{number}" for number in range(sqlite_text.HEAVIEST)]
    index.add([chunk("a", " ".join(often)), chunk("b", " ".join(often)), chunk("c", "rare")], NOTHING_KNOWN)
    assert found(index, " ".join([*often, "rare"]))[0] == "c"
    index.close()


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "x.sqlite").close()
    connection = sqlite3.connect(tmp_path / "x.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match=r"format 99.*intelforge sync"):
        opened(tmp_path / "x.sqlite")


def test_a_damaged_file_says_how_to_rebuild_it(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"damaged" * 1000)
    with pytest.raises(StorageError, match="intelforge sync") as caught:
        opened(tmp_path / "x.sqlite")
    assert caught.value.error_code is ErrorCode.DAMAGED


def test_an_index_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not open"):
        found(TextIndex(tmp_path / "x.sqlite"), "x")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SQLITE_BUSY", ErrorCode.BUSY),
        ("SQLITE_FULL", ErrorCode.DISK_FULL),
        ("SQLITE_READONLY_DBMOVED", ErrorCode.READ_ONLY),
        ("SQLITE_CANTOPEN", ErrorCode.READ_ONLY),
        ("SQLITE_CORRUPT", ErrorCode.DAMAGED),
    ],
)
def test_what_sqlite_raises_becomes_a_code_and_a_hint(tmp_path: Path, name: str, code: ErrorCode) -> None:
    raised: Any = sqlite3.OperationalError("x")
    raised.sqlite_errorname = name
    with pytest.raises((StorageError, BusyError)) as caught, translated(tmp_path / "x"):
        raise raised
    assert caught.value.error_code is code
    assert caught.value.hint

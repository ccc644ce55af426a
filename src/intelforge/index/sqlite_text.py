"""Words, attributes and ids in one SQLite file: the lexical part of stores that have none, found by FTS5's BM25.

Synchronous: callers run it in a thread. Several threads and processes may use one file at once; a write waits for
another's end, a read never waits.
"""

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from intelforge.core.errors import BusyError, ErrorCode, StorageError
from intelforge.core.values import Chunk
from intelforge.core.write_ahead import write_ahead
from intelforge.index.protocol import About, Filter, Scored
from intelforge.index.spelling import edits_of, likeliest
from intelforge.index.store_rules import phrases_first, ranked
from intelforge.index.words import folded, label_key, query_phrases, query_words, words

FORMAT: Final = 1
"""of the tables; a file of another one is emptied, so that it is filled again"""
HEAVIEST: Final = 64
"""words of a query that count, the rarest; the others of a long one say little more and take much longer"""
BUSY_SECONDS: Final = 60
SIMILAR: Final = 10
"""words spelt alike that are looked up"""
MERGED_PAGES: Final = 2000
"""that one call of `maintain` folds at the most"""

TABLES: Final = """
CREATE TABLE state (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO state VALUES ('version', 0);
CREATE TABLE documents (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, modified REAL NOT NULL DEFAULT 0,
    quality REAL NOT NULL DEFAULT 1);
CREATE TABLE labels (label TEXT, document INTEGER, PRIMARY KEY (label, document)) WITHOUT ROWID;
CREATE INDEX labels_by_document ON labels (document);
CREATE TABLE chunks (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, document INTEGER NOT NULL);
CREATE INDEX chunks_by_document ON chunks (document);
"""
WORDS: Final = """
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "ascii tokenchars '_.'");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row);
"""
EMPTIED: Final = """
DROP TABLE vocabulary;
DROP TABLE words;
DELETE FROM chunks;
DELETE FROM labels;
DELETE FROM documents;
"""
SEARCH: Final = """
SELECT chunks.id, documents.id, -bm25(words)
FROM words JOIN chunks ON chunks.number = words.rowid JOIN documents ON documents.number = chunks.document
WHERE words MATCH ? AND (? IS NULL OR words.rowid IN (SELECT rowid FROM words WHERE words MATCH ?)) AND {}
ORDER BY 3 DESC, 1 LIMIT ?
"""
VOCABULARY: Final = "SELECT term, doc FROM vocabulary WHERE term >= ? AND term < ? AND length(term) BETWEEN ? AND ?"
INVENTORY: Final = """
SELECT documents.id, count(*) FROM chunks JOIN documents ON documents.number = document GROUP BY document
"""


class TextIndex:
    """The file at `path`, made when it is first opened. `tables` are those its user keeps in it besides."""

    def __init__(self, path: Path, *, tables: str = "") -> None:
        self.path = path
        self._tables = TABLES + WORDS + tables
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._writes = threading.Lock()

    def open(self) -> None:
        """Makes file and tables. Raises StorageError."""
        with translated(self.path):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"the index {self.path.parent} cannot be made: {error.strerror}", hint="check the permissions"
                ) from error
            with closing(self._connect()) as connection:
                _make(connection, self._tables, self.path)

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()
        self._local = threading.local()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file."""
        with translated(self.path):
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, on disk at the end of the block. It raises `version`."""
        with self._writes, translated(self.path):
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("UPDATE state SET value = value + 1 WHERE name = 'version'")
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    def add(self, chunks: Sequence[Chunk], about: About) -> None:
        last = {chunk.id: chunk for chunk in chunks}
        folded = {key: " ".join(words(chunk.embedding_text)) for key, chunk in last.items()}
        with self.writing() as connection:
            numbers = know(connection, (chunk.document_id for chunk in last.values()), about)
            _forget(connection, "SELECT number FROM chunks WHERE id IN (SELECT value FROM json_each(?))", [_json(last)])
            for key, chunk in last.items():
                row = connection.execute(
                    "INSERT INTO chunks (id, document) VALUES (?, ?)", (key, numbers[chunk.document_id])
                )
                connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row.lastrowid, folded[key]))

    def describe(self, about: About) -> None:
        with self.writing() as connection:
            describe(connection, about)

    def delete(self, document_ids: Collection[str]) -> None:
        with self.writing() as connection:
            forget_documents(connection, document_ids)

    def empty(self, statements: str = "") -> None:
        """Removes all, by the statements what its user keeps besides, and gives the room back if no one is in the way.

        The file stays: others may have it open.
        """
        with self.writing() as connection:
            _run(connection, statements + EMPTIED + WORDS)
        with suppress(BusyError), self._writes, translated(self.path):
            connection = self._connection()
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def search(self, query: str, *, limit: int, where: Filter) -> list[Scored]:
        """The best chunks, best first; those that hold a quoted phrase before all others."""
        with self.reading() as connection:
            wanted = _rarest(connection, query_words(query))
            if not wanted:
                return []
            found = _match(connection, wanted, None, limit, where)
            phrases = [f'"{" ".join(phrase)}"' for phrase in query_phrases(query)]
            held = _match(connection, wanted, " OR ".join(phrases), limit, where) if phrases else []
        return ranked(phrases_first(found, held), limit)

    def similar(self, word: str, *, where: Filter) -> list[str]:
        """Words that are spelt like this one and stand in a chunk that is admitted, the likeliest first."""
        word = folded(word)
        bounds = (word[:1], f"{word[:1]}\U0010ffff", len(word) - edits_of(word), len(word) + edits_of(word))
        with self.reading() as connection:
            counts = dict(connection.execute(VOCABULARY, bounds).fetchall())
            near = likeliest(word, counts)[:SIMILAR]
            return [each for each in near if _match(connection, [each], None, 1, where)]

    def count(self) -> int:
        with self.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])

    def inventory(self) -> dict[str, int]:
        """Chunks by document id."""
        with self.reading() as connection:
            return dict(connection.execute(INVENTORY).fetchall())

    def maintain(self) -> None:
        with self.writing() as connection:
            connection.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (MERGED_PAGES,))
            connection.execute("PRAGMA optimize")

    def _connection(self) -> sqlite3.Connection:
        """One for each thread: only on connections of their own do readers and a writer go on at once."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if not self.path.exists():
                raise StorageError(f"the index {self.path.parent} is not open", code=ErrorCode.INTERNAL)
            connection = self._local.connection = self._connect()
            self._opened.append(connection)
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        write_ahead(connection.execute)
        connection.execute("PRAGMA synchronous = FULL")
        return connection


class translated:  # noqa: N801 - used as a function
    """Turns what SQLite raises into IntelForgeError."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise BusyError(f"the index {self._folder} is being written by others", hint="try again") from error
        for sign, code, what, hint in SIGNS:
            if name.startswith(sign):
                raise StorageError(f"the index {self._folder} {what}", hint=hint, code=code) from error
        raise StorageError(
            f"the index {self._folder} cannot be used ({error})",
            hint="delete that folder and run: intelforge sync (it rebuilds the index from the database)",
            code=ErrorCode.DAMAGED,
        ) from error


SIGNS: Final = (
    ("SQLITE_FULL", ErrorCode.DISK_FULL, "cannot be written: the disk is full", "free some space, then sync again"),
    ("SQLITE_READONLY", ErrorCode.READ_ONLY, "may not be written", "check the permissions of the folder"),
    ("SQLITE_CANTOPEN", ErrorCode.READ_ONLY, "may not be opened", "check the permissions of the folder"),
)


def know(connection: sqlite3.Connection, document_ids: Iterable[str], about: About) -> dict[str, int]:
    """The numbers of the documents, which are made known if need be and described as far as `about` goes."""
    known = dict.fromkeys(document_ids)
    connection.executemany("INSERT OR IGNORE INTO documents (id) VALUES (?)", [(key,) for key in known])
    describe(connection, {key: about[key] for key in known if key in about})
    return numbers(connection, known)


def numbers(connection: sqlite3.Connection, document_ids: Collection[str]) -> dict[str, int]:
    """By document id, of those that are known."""
    rows = connection.execute(
        "SELECT id, number FROM documents WHERE id IN (SELECT value FROM json_each(?))", (_json(document_ids),)
    )
    return dict(rows.fetchall())


def describe(connection: sqlite3.Connection, about: About) -> None:
    """Replaces the attributes of the documents that are known."""
    for document_id, number in numbers(connection, about).items():
        attributes = about[document_id]
        connection.execute(
            "UPDATE documents SET modified = ?, quality = ? WHERE number = ?",
            (attributes.modified, attributes.quality, number),
        )
        connection.execute("DELETE FROM labels WHERE document = ?", (number,))
        labels = [(label_key(label), number) for label in attributes.labels]
        connection.executemany("INSERT OR IGNORE INTO labels VALUES (?, ?)", labels)


def forget_documents(connection: sqlite3.Connection, document_ids: Collection[str]) -> None:
    for number in numbers(connection, document_ids).values():
        _forget(connection, "SELECT number FROM chunks WHERE document = ?", (number,))
        connection.execute("DELETE FROM labels WHERE document = ?", (number,))
        connection.execute("DELETE FROM documents WHERE number = ?", (number,))


def admitted(where: Filter) -> tuple[str, list[object]]:
    """The filter as a condition on the table `documents`, and its parameters."""
    groups = [("documents.number IN " + _LABELLED, group) for group in where.any_of]
    others = (
        ("documents.number NOT IN " + _LABELLED, where.none_of or None),
        ("documents.modified >= ?", where.since),
        ("documents.modified < ?", where.until),
        ("documents.quality >= ?", where.least_quality or None),
    )
    asked = [(clause, value) for clause, value in (*groups, *others) if value is not None]
    parameters: list[object] = [
        _json(map(label_key, value)) if isinstance(value, frozenset) else value for _, value in asked
    ]
    clauses = [clause for clause, _ in asked]
    if where.documents is not None:
        clauses.append("documents.id IN (SELECT value FROM json_each(?))")
        parameters.append(_json(where.documents))
    return " AND ".join(clauses) or "true", parameters


_LABELLED: Final = "(SELECT document FROM labels WHERE label IN (SELECT value FROM json_each(?)))"


def _make(connection: sqlite3.Connection, tables: str, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    [found] = connection.execute("PRAGMA user_version").fetchone()
    if found not in (0, FORMAT):
        raise StorageError(
            f"the index {path.parent} is of format {found}, not {FORMAT}",
            hint="delete that folder and run: intelforge sync (it rebuilds the index from the database)",
            code=ErrorCode.UNSUPPORTED,
        )
    if not found:
        _run(connection, tables)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.commit()


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """As part of the transaction, which `executescript` would end."""
    for statement in filter(None, map(str.strip, statements.split(";\n"))):
        connection.execute(statement)


def _forget(connection: sqlite3.Connection, chosen: str, parameters: Sequence[object]) -> None:
    """Removes the chunks whose numbers the statement gives."""
    gone = connection.execute(chosen, parameters).fetchall()
    connection.executemany("DELETE FROM words WHERE rowid = ?", gone)
    connection.executemany("DELETE FROM chunks WHERE number = ?", gone)


def _rarest(connection: sqlite3.Connection, asked: Sequence[str]) -> list[str]:
    """The words that stand anywhere, the rarest first, at most HEAVIEST."""
    statement = "SELECT term FROM vocabulary WHERE term IN (SELECT value FROM json_each(?)) ORDER BY doc LIMIT ?"
    return [word for (word,) in connection.execute(statement, (_json(set(asked)), HEAVIEST))]


def _match(
    connection: sqlite3.Connection, wanted: Sequence[str], phrases: str | None, limit: int, where: Filter
) -> list[Scored]:
    """By BM25. Words and phrases go in as strings of FTS5, so nothing in them can be taken for syntax."""
    condition, parameters = admitted(where)
    query = " OR ".join(f'"{word}"' for word in wanted)
    found = connection.execute(SEARCH.format(condition), (query, phrases, phrases, *parameters, limit))
    return [Scored(*row) for row in found.fetchall()]


def _json(values: Iterable[str]) -> str:
    return json.dumps(sorted(values))

"""The vectors of the store `faiss:` in memory: a FAISS index over what the table `vectors` holds, always in step.

Below GRAPH_FROM vectors every search is a scan of all, exact and fast. From there on `maintain` builds a graph (HNSW;
Malkov and Yashunin, 2016), which searches that admit most documents go through. It is kept in a file so that it need
not be built again; a file that is missing, damaged or of another store is passed over.
"""

import importlib
import sqlite3
import threading
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import BackendError, ErrorCode, StorageError
from intelforge.index.protocol import Filter, Vectors
from intelforge.index.server_url import wrong_dimensions
from intelforge.index.sqlite_text import TextIndex, admitted

TABLES: Final = """
CREATE TABLE vectors (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, document INTEGER NOT NULL,
    vector BLOB NOT NULL);
CREATE INDEX vectors_by_document ON vectors (document);
CREATE TRIGGER vectors_go AFTER DELETE ON documents BEGIN DELETE FROM vectors WHERE document = old.number; END;
INSERT INTO state VALUES ('store', hex(randomblob(16)));
INSERT INTO state VALUES ('dimensions', 0);
"""
EMPTIED: Final = """
DELETE FROM vectors;
UPDATE state SET value = 0 WHERE name = 'dimensions';
"""

GRAPH_FROM: Final = 50_000
LINKS: Final = 32
"""of each vector in the graph"""
CANDIDATES: Final = 2000
"""least number that a search in the graph keeps in view: questions lie apart from texts, and many a path ends early"""
MOSTLY: Final = 0.5
"""share of the vectors a filter must admit for the graph to be worth it; for fewer a scan of those is as fast"""
STALE: Final = 0.2
"""share of the graph that may be dead, or missing from its file, before it is built again"""
BATCH: Final = 20_000
MASKS: Final = 8
"""kept of filters; each has a byte for every vector"""

Positions = NDArray[np.int64]


class FaissVectors:
    """Used by several threads at once; one search at a time."""

    def __init__(self, text: TextIndex, graph: Path) -> None:
        self._text = text
        self._file = graph
        self._lock = threading.Lock()
        self._version = -1
        self._index: Any = None
        self._numbers: Positions = np.zeros(0, np.int64)
        self._owners: Positions = np.zeros(0, np.int64)
        """by position in the index: number of the row, number of its document (0 when it is gone)"""
        self._masks: dict[Filter, NDArray[np.bool_]] = {}
        """of the filters asked for last, the latest at the end"""
        self._saved = 0
        """vectors in the file of the graph; 0 when there is none"""

    def search(
        self, connection: sqlite3.Connection, query: Vectors, *, limit: int, where: Filter
    ) -> list[tuple[int, float]]:
        """Row numbers and cosines, best first. Raises StorageError when the vectors have other dimensions."""
        with self._lock:
            self._follow(connection)
            if self._index is None:
                return []
            if self._index.d != len(query):
                raise wrong_dimensions(str(self._file.parent), self._index.d, len(query))
            positions, scores = self._nearest(np.asarray(query, np.float32)[None], limit, self._mask(connection, where))
            return list(zip(self._numbers[positions].tolist(), scores.tolist(), strict=True))

    def maintain(self) -> None:
        """Builds the graph when it pays and there is none, or it is stale. Searches go on meanwhile."""
        with self._text.reading() as connection:
            with self._lock:
                self._follow(connection)
                alive = np.count_nonzero(self._owners)
                fresh = self._saved and abs(alive - self._saved) + len(self._owners) - alive < STALE * alive
                if alive < GRAPH_FROM or fresh:
                    return
                dimensions = self._index.d
            index, numbers, owners = _loaded(connection, _graph(dimensions), 0)
            version = state(connection, "version")
            self._save(index, numbers, state(connection, "store"))
        with self._lock:
            self._index, self._numbers, self._owners, self._saved = index, numbers, owners, len(numbers)
            self._version = -1 if version != self._version else version
            self._masks.clear()

    def forget(self) -> None:
        """Removes the file of the graph, which stands for vectors that are gone."""
        self._file.unlink(missing_ok=True)

    def _nearest(self, query: Vectors, limit: int, mask: NDArray[np.bool_]) -> tuple[Positions, NDArray[np.float32]]:
        faiss = _faiss()
        count = min(limit, int(np.count_nonzero(mask)))
        if not count:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        storage = self._index
        if isinstance(self._index, faiss.IndexHNSWFlat):
            storage = faiss.downcast_index(self._index.storage)
            if mask.mean() >= MOSTLY:
                wide = faiss.SearchParametersHNSW(sel=selector, efSearch=max(CANDIDATES, 2 * count))
                scores, found = self._index.search(query, count, params=wide)
                if found.min() >= 0:
                    return found[0], scores[0]
        scores, found = storage.search(query, count, params=faiss.SearchParameters(sel=selector))
        return found[0], scores[0]

    def _mask(self, connection: sqlite3.Connection, where: Filter) -> NDArray[np.bool_]:
        """Which positions hold vectors of documents that the filter admits."""
        mask = self._masks.pop(where, None)
        if mask is None:
            condition, parameters = admitted(where)
            found = connection.execute(f"SELECT number FROM documents WHERE {condition}", parameters)  # noqa: S608
            allowed = np.fromiter((number for (number,) in found), np.int64)
            mask = np.isin(self._owners, allowed) & (self._owners > 0)
        self._masks[where] = mask
        if len(self._masks) > MASKS:
            del self._masks[next(iter(self._masks))]
        return mask

    def _follow(self, connection: sqlite3.Connection) -> None:
        """Takes over what was written since, here or by another process."""
        version, dimensions = state(connection, "version"), state(connection, "dimensions")
        if version == self._version:
            return
        self._masks.clear()
        if self._index is None or self._index.d != dimensions:
            self._start(connection, dimensions)
        if self._index is not None:
            last = int(self._numbers[-1]) if len(self._numbers) else 0
            self._index, numbers, owners = _loaded(connection, self._index, last)
            self._numbers = np.concatenate([self._numbers, numbers])
            self._owners = np.concatenate([self._owners, owners])
            [there] = connection.execute("SELECT count(*) FROM vectors").fetchone()
            if there != np.count_nonzero(self._owners):  # rows only come, with higher numbers, and go
                self._owners = _owners(connection, self._numbers)
        self._version = version

    def _start(self, connection: sqlite3.Connection, dimensions: int) -> None:
        faiss = _faiss()
        self._numbers, self._owners, self._saved, self._index = np.zeros(0, np.int64), np.zeros(0, np.int64), 0, None
        if not dimensions:
            return
        unreadable = (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile)
        with suppress(*unreadable), self._file.open("rb") as file, np.load(file) as kept:
            if str(kept["store"]) == state(connection, "store"):
                index = faiss.deserialize_index(kept["graph"])
                if index.d == dimensions and index.ntotal == len(kept["numbers"]):
                    self._index, self._numbers, self._saved = index, kept["numbers"], index.ntotal
                    self._owners = np.zeros(len(self._numbers), np.int64)
        if self._index is None:
            self._index = faiss.IndexFlatIP(dimensions)

    def _save(self, index: Any, numbers: Positions, store: str) -> None:
        faiss = _faiss()
        temporary = self._file.with_suffix(f".{threading.get_ident()}.new")
        try:
            with temporary.open("wb") as file:
                np.savez(file, graph=faiss.serialize_index(index), numbers=numbers, store=np.array(store))
            temporary.replace(self._file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageError(
                f"{self._file} cannot be written: {error.strerror}", hint="free some space", code=ErrorCode.DISK_FULL
            ) from error


def check_installed() -> None:
    """Raises BackendError when FAISS is not here."""
    try:
        _faiss()
    except ImportError as error:
        raise BackendError(
            "the 'faiss' backend needs the package faiss-cpu", hint="pip install 'intelforge[faiss]'"
        ) from error


def _faiss() -> Any:
    """The module; its type stubs leave out what its Python layer adds."""
    return importlib.import_module("faiss")


def _graph(dimensions: int) -> Any:
    faiss = _faiss()
    return faiss.IndexHNSWFlat(dimensions, LINKS, faiss.METRIC_INNER_PRODUCT)


def _loaded(connection: sqlite3.Connection, index: Any, after: int) -> tuple[Any, Positions, Positions]:
    """The index with the rows numbered above `after` added, and what they are: numbers and owners."""
    rows = connection.execute("SELECT number, document, vector FROM vectors WHERE number > ? ORDER BY number", (after,))
    numbers, owners = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    while batch := rows.fetchmany(BATCH):
        index.add(np.frombuffer(b"".join(row[2] for row in batch), np.float16).reshape(-1, index.d).astype(np.float32))
        numbers.append(np.array([row[0] for row in batch], np.int64))
        owners.append(np.array([row[1] for row in batch], np.int64))
    return index, np.concatenate(numbers), np.concatenate(owners)


def _owners(connection: sqlite3.Connection, numbers: Positions) -> Positions:
    """The document of each row, 0 when it is gone."""
    rows = connection.execute("SELECT number, document FROM vectors ORDER BY number").fetchall()
    there = np.array(rows, np.int64).reshape(-1, 2)
    owners = np.zeros(len(numbers), np.int64)
    owners[np.searchsorted(numbers, there[:, 0])] = there[:, 1]
    return owners


def state(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()[0]

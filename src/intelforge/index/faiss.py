"""The vector store `faiss:FOLDER`: FAISS over vectors, FTS5 over words, and one SQLite file that holds the truth.

A write is one transaction of SQLite. The FAISS index is made from it and follows it, so a crash at any instant leaves
nothing to mend, and several processes may write at once.
"""

import asyncio
import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from intelforge.core.errors import InvalidInputError
from intelforge.core.values import Chunk
from intelforge.index import faiss_vectors
from intelforge.index.faiss_vectors import FaissVectors, check_installed, state
from intelforge.index.protocol import EVERYTHING, NOTHING_KNOWN, About, Filter, Held, Scored, Vectors, folder_of_version
from intelforge.index.server_url import wrong_dimensions
from intelforge.index.sqlite_text import TextIndex, know
from intelforge.index.store_rules import check_limit, check_vectors, document_of


def open_store(url: str, *, root: Path, version: int = 1, secrets: Mapping[str, str] | None = None) -> "FaissStore":
    """The store in the folder named by the URL, relative to `root`; it is made by `async with`.

    Raises InvalidInputError for a URL without a folder, BackendError when FAISS is not installed.
    """
    folder = url.partition(":")[2].removeprefix("//")
    if not folder:
        raise InvalidInputError(f"{url!r} names no folder", hint="write it as faiss:.intelforge/index")
    check_installed()
    return FaissStore(folder_of_version(root / Path(folder).expanduser(), version))


class FaissStore:
    """Chunks and vectors in a folder. May be used by several tasks and processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._text = TextIndex(folder / "index.sqlite", tables=faiss_vectors.TABLES)
        self._vectors = FaissVectors(self._text, folder / "graph.npz")

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._text.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.close()

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        if chunks:
            await asyncio.to_thread(self._text.add, chunks, about)

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        check_vectors(chunk_ids, vectors)
        if len(chunk_ids):
            await asyncio.to_thread(self._add_vectors, chunk_ids, vectors, about)

    async def describe(self, about: About) -> None:
        if about:
            await asyncio.to_thread(self._text.describe, about)

    async def delete(self, document_ids: Collection[str]) -> None:
        if document_ids:
            await asyncio.to_thread(self._text.delete, document_ids)

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        if isinstance(query, str):
            return await asyncio.to_thread(self._text.search, query, limit=limit, where=where)
        return await asyncio.to_thread(self._nearest, query, limit, where)

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        return await asyncio.to_thread(self._of, chunk_ids)

    async def similar(self, word: str, *, where: Filter) -> list[str]:
        """As `spelling.FuzzyText` says."""
        return await asyncio.to_thread(self._text.similar, word, where=where)

    async def count(self) -> Held:
        return await asyncio.to_thread(self._count)

    async def inventory(self) -> Mapping[str, Held]:
        return await asyncio.to_thread(self._inventory)

    async def maintain(self) -> None:
        await asyncio.to_thread(self._text.maintain)
        await asyncio.to_thread(self._vectors.maintain)

    async def drop(self) -> None:
        await asyncio.to_thread(self._text.empty, faiss_vectors.EMPTIED)
        await asyncio.to_thread(self._vectors.forget)

    def _add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About) -> None:
        """Vectors are kept in float16: half the disk and the reading, with the same ranking."""
        last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
        kept = np.asarray(vectors, np.float16)
        with self._text.writing() as connection:
            _set_dimensions(connection, kept.shape[1], str(self._folder))
            numbers = know(connection, (document_of(chunk_id) for chunk_id in last), about)
            connection.executemany(
                "INSERT OR REPLACE INTO vectors (id, document, vector) VALUES (?, ?, ?)",
                [(key, numbers[document_of(key)], kept[row].tobytes()) for key, row in last.items()],
            )

    def _nearest(self, query: Vectors, limit: int, where: Filter) -> list[Scored]:
        with self._text.reading() as connection:
            scores = dict(self._vectors.search(connection, query, limit=limit, where=where))
            rows = connection.execute(NAMES, (json.dumps(list(scores)),)).fetchall()
        hits = [Scored(chunk_id, document_id, scores[number]) for number, chunk_id, document_id in rows]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))

    def _of(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        with self._text.reading() as connection:
            rows = connection.execute(VECTORS_OF, (json.dumps(list(chunk_ids)),)).fetchall()
        return {key: np.frombuffer(vector, np.float16).astype(np.float32) for key, vector in rows}

    def _count(self) -> Held:
        with self._text.reading() as connection:
            return Held(*connection.execute(COUNT).fetchone())

    def _inventory(self) -> Mapping[str, Held]:
        with self._text.reading() as connection:
            return {key: Held(*held) for key, *held in connection.execute(INVENTORY)}


NAMES = """
SELECT vectors.number, vectors.id, documents.id FROM vectors JOIN documents ON documents.number = document
WHERE vectors.number IN (SELECT value FROM json_each(?))
"""
VECTORS_OF = "SELECT id, vector FROM vectors WHERE id IN (SELECT value FROM json_each(?))"
COUNT = "SELECT (SELECT count(*) FROM chunks), (SELECT count(*) FROM vectors)"
INVENTORY = """
SELECT documents.id, sum(chunk), sum(vector) FROM (
    SELECT document, 1 AS chunk, 0 AS vector FROM chunks UNION ALL SELECT document, 0, 1 FROM vectors
) JOIN documents ON documents.number = document GROUP BY document
"""


def _set_dimensions(connection: sqlite3.Connection, dimensions: int, place: str) -> None:
    """Raises StorageError when vectors of other dimensions are held: those are another embedder's."""
    held = state(connection, "dimensions")
    if held == dimensions:
        return
    if connection.execute("SELECT 1 FROM vectors LIMIT 1").fetchone():
        raise wrong_dimensions(place, held, dimensions)
    connection.execute("UPDATE state SET value = ? WHERE name = 'dimensions'", (dimensions,))

"""Looks into a workspace with its own eyes, for `crash.py`: database and index are read without IntelForge's store.

Each finding is one line that says what is wrong.
"""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lancedb
import numpy as np

from intelforge.core.search import SearchRequest
from intelforge.core.values import Chunk
from intelforge.index.analysis import terms
from intelforge.index.protocol import Embedder
from intelforge.workspace import Workspace

Version = tuple[int, int, str]
"""item, number, document"""

SAMPLE = 24
"""vectors computed again at each audit"""
SAME = 0.98
"""cosine of a stored vector with the one computed again: int8 and float16 cost less than that"""


@dataclass(kw_only=True)
class Findings:
    """What was found wrong, a line each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """undisturbed syncs that did not succeed"""

    def figures(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in self.__dataclass_fields__}


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the database says."""

    items: dict[str, tuple[str, str | None]]
    """state and document by URI; gone items left out"""
    versions: list[Version]
    documents: dict[str, Any]
    chunks: dict[str, Chunk]


def acknowledged(database: Path) -> set[Version]:
    """Every version the database holds at this moment; empty before there is one."""
    if not database.is_file():
        return set()
    with closing(_read_only(database)) as connection:
        try:
            return set(connection.execute("SELECT item_id, number, document_id FROM versions"))
        except sqlite3.OperationalError:  # the tables are being made
            return set()


def working(database: Path, pid: int) -> bool:
    """Whether a sync has begun its work there: the process holds a lease."""
    if not database.is_file():
        return False
    with closing(_read_only(database)) as connection:
        try:
            return bool(connection.execute("SELECT 1 FROM leases WHERE owner LIKE ?", (f"%:{pid}:%",)).fetchone())
        except sqlite3.OperationalError:
            return False


DOCUMENTS = """
    SELECT documents.*, standing.document_id IS NOT NULL AS indexed,
        coalesce(standing.embedded_chunks, 0) AS embedded_chunks
    FROM documents LEFT JOIN index_standings AS standing ON standing.document_id = documents.id AND standing.version = 1
"""


def read_record(database: Path) -> Record:
    with closing(_read_only(database)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT uri, state, document_id FROM items WHERE state != 'gone'").fetchall()
        documents = {row["id"]: row for row in connection.execute(DOCUMENTS)}
        chunks = {
            f"{row['document_id']}:{row['ordinal']}": _chunk(row, documents[row["document_id"]]["text"])
            for row in connection.execute("SELECT * FROM chunks")
        }
        versions = connection.execute("SELECT item_id, number, document_id FROM versions ORDER BY item_id, number")
        return Record(
            items={row["uri"]: (row["state"], row["document_id"]) for row in rows},
            versions=[tuple(row) for row in versions],
            documents=documents,
            chunks=chunks,
        )


async def audit(
    root: Path, words: Mapping[str, str], past: Sequence[str], promised: set[Version], found: Findings
) -> None:
    """Adds to `found` what is wrong after an undisturbed sync, when files hold `words` and no longer `past`."""
    record = read_record(root / ".intelforge" / "intelforge.db")
    index = await lancedb.connect_async(root / ".intelforge" / "index")
    held = {
        name: (await (await index.open_table(name)).query().to_arrow()).to_pylist()
        for name in (await index.list_tables()).tables
    }
    found.lost += [f"acknowledged version {version}" for version in promised - set(record.versions)]
    found.lost += [f"{name} is {record.items.get(name)}" for name in words if not _ready(record, name)]
    found.doubled += list(_doubled(record, held))
    found.disagreeing += [f"{name} is still there" for name in record.items if name not in words]
    found.disagreeing += list(_differences(record, held))
    async with Workspace.open(root) as workspace:
        embedder = (await workspace._parts.versions.live()).embedder
        if embedder:
            found.disagreeing += [line async for line in _wrong_vectors(record, held.get("vectors", []), embedder)]
        for word in {*words.values(), *past}:
            expected = {name for name, own in words.items() if own == word}
            found_hits = (await workspace.search(SearchRequest(query=word, limit=20))).hits
            hits = [hit for hit in found_hits if word in hit.chunk.embedding_text]
            locations = {place for hit in hits for place in (hit.location, *hit.duplicates)}
            wanted = {str(root / "files" / name) for name in expected}
            found.lost += [f"{place} is not found by {word}" for place in wanted - locations]
            found.disagreeing += [f"{place} is still found by {word}" for place in locations - wanted]


def _ready(record: Record, name: str) -> bool:
    return record.items.get(name, ("", None))[0] == "ready"


def _doubled(record: Record, held: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    for name, rows in held.items():
        for chunk_id, times in Counter(row["id"] for row in rows).items():
            if times > 1:
                yield f"{chunk_id} is {times} times in {name}"
    for (item, number, document), (next_item, next_number, next_document) in zip(
        record.versions, record.versions[1:], strict=False
    ):
        if (item, document) == (next_item, next_document):
            yield f"versions {number} and {next_number} of item {item} are the same"


def _differences(record: Record, held: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Where the index, the database's note of it, and the texts do not agree."""
    current = {document_id for state, document_id in record.items.values() if state == "ready" and document_id}
    wanted = {key: chunk for key, chunk in record.chunks.items() if chunk.document_id in current}
    indexed = {row["id"]: row["terms"] for row in held.get("chunks", [])}
    for key in wanted.keys() ^ indexed.keys():
        yield f"chunk {key} is {'missing in' if key in wanted else 'superfluous in'} the index"
    for key in wanted.keys() & indexed.keys():
        if indexed[key] != " ".join(terms(wanted[key].embedding_text)):
            yield f"chunk {key} is indexed with another text"
    for document_id, row in record.documents.items():
        if bool(row["indexed"]) != (document_id in current):
            yield f"document {document_id} is noted as indexed={row['indexed']}"
        if row["chunk_count"] != sum(chunk.document_id == document_id for chunk in record.chunks.values()):
            yield f"document {document_id} has not {row['chunk_count']} chunks"
    vectors: Counter[str] = Counter(row["document_id"] for row in held.get("vectors", []))
    for document_id in current | vectors.keys():
        noted = record.documents[document_id]["embedded_chunks"] if document_id in record.documents else 0
        if noted != vectors[document_id]:
            yield f"document {document_id} has {vectors[document_id]} vectors, noted are {noted}"
    for key, chunk in record.chunks.items():
        if not chunk.text or len(chunk.text) != chunk.end - chunk.start:
            yield f"chunk {key} is not the text of its span"


async def _wrong_vectors(record: Record, rows: Sequence[Mapping[str, Any]], embedder: Embedder) -> AsyncIterator[str]:
    missing = sum(row["chunk_count"] for row in record.documents.values() if row["indexed"]) - len(rows)
    if missing:
        yield f"{missing} chunks have no vector"
    sample = [row for row in rows[:: max(1, len(rows) // SAMPLE)] if row["id"] in record.chunks]
    vectors = await embedder.embed([record.chunks[row["id"]].embedding_text for row in sample])
    for row, vector in zip(sample, vectors, strict=True):
        stored = np.asarray(row["vector"], np.float32)
        if float(stored @ vector) < SAME * float(np.linalg.norm(stored)):
            yield f"the vector of {row['id']} is another's"


def _chunk(row: sqlite3.Row, text: str) -> Chunk:
    start, end = row["start_char"], row["end_char"]
    return Chunk(
        id=f"{row['document_id']}:{row['ordinal']}",
        document_id=row["document_id"],
        ordinal=row["ordinal"],
        start=start,
        end=end,
        text=text[start:end],
        heading=row["heading"],
    )


def _read_only(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)

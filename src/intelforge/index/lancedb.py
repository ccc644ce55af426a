"""The vector store `lancedb:FOLDER`: two tables on disk, one of terms with a BM25 index, one of vectors.

They are apart so that adding vectors never touches the text index. Rows that are not yet in an index are found all
the same, by a scan: a write is searchable on return, and `maintain` only makes it fast. Each write is one commit of a
table version (a new file, renamed into place), so a killed process leaves the version before. Lance does not fsync:
after a power cut the last versions can be missing, which `inventory` shows.
"""

import asyncio
import ctypes
import hashlib
import math
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from intelforge.core.errors import BusyError, ErrorCode, IntelForgeError, InvalidInputError, StorageError
from intelforge.core.values import Attributes, Chunk
from intelforge.index.analysis import LONGEST_TERM, STOP_WORDS, quoted_phrases, terms, terms_text
from intelforge.index.lancedb_import import import_lancedb
from intelforge.index.protocol import EVERYTHING, NOTHING_KNOWN, About, Filter, Held, Scored, Vectors

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb import AsyncConnection
    from lancedb.table import AsyncTable

CHUNKS = "chunks"
VECTORS = "vectors"

ATTRIBUTES = ("labels", "modified", "quality")
"""columns that filters ask for, beside `document_id`"""
INDEXED = (("labels", "LabelList"), ("document_id", "BTree"))
"""columns with an index of their own; the numbers are read by a scan, which is quick and seldom asked for"""
LONGEST_QUERY = 1000
"""terms; a longer query is a document, and its first thousand terms say what it is about"""
PHRASE_CANDIDATES = 2000
"""chunks that hold all words of a quoted phrase and are looked through for it, best first"""
ANN_FROM = 50_000
"""vectors from which on an approximate index pays; below, a scan of all is exact and as fast"""
PROBES = 40
"""partitions of the approximate index that one search reads"""
KEEP_VERSIONS = timedelta(minutes=10)
"""how long a reader in another process may go on with the version it opened"""
ATTEMPTS = 12
CONFLICT = re.compile(r"conflict|concurrent|too many.*retries", re.IGNORECASE)
"""what Lance says when another process committed first"""


def open_store(url: str, *, root: Path) -> "LanceStore":
    """The store in the folder named by the URL, relative to `root`. The folder is made by the first write.

    Raises InvalidInputError for a URL without a folder. Nothing is read before `async with`.
    """
    folder = url.partition(":")[2].removeprefix("//")
    if not folder:
        raise InvalidInputError(f"{url!r} names no folder", hint="write it as lancedb:.intelforge/index")
    return LanceStore(root / Path(folder).expanduser())


class LanceStore:
    """Chunks and vectors in LanceDB. May be used by several tasks and processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection: AsyncConnection | None = None
        self._tables: dict[str, AsyncTable] = {}
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        os.environ.setdefault("LANCE_LOG", "error")  # Lance writes notices to stderr otherwise
        lancedb = await asyncio.to_thread(import_lancedb)
        with translated(self._folder):
            self._connection = await lancedb.connect_async(self._folder, read_consistency_interval=timedelta(0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for table in self._tables.values():
            table.close()  # type: ignore[no-untyped-call]
        self._tables.clear()
        if self._connection:
            self._connection.close()  # type: ignore[no-untyped-call]
            self._connection = None

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        if not chunks:
            return
        rows = await asyncio.to_thread(_chunk_rows, chunks, about)
        await self._upsert(CHUNKS, rows)

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        if len(chunk_ids) != len(vectors):
            raise InvalidInputError(f"{len(chunk_ids)} chunks were given {len(vectors)} vectors")
        if len(chunk_ids):
            await self._upsert(VECTORS, _vector_rows(chunk_ids, vectors, about))

    async def describe(self, about: About) -> None:
        alike: dict[Attributes, list[str]] = {}
        for document_id, attributes in about.items():
            alike.setdefault(attributes, []).append(document_id)
        for attributes, document_ids in alike.items():
            where, values = _among("document_id", document_ids), _attribute_sql(attributes)
            for name in (CHUNKS, VECTORS):
                if table := await self._table(name):
                    await self._write(partial(table.update, where=where, updates_sql=values))

    async def delete(self, document_ids: Collection[str]) -> None:
        if not document_ids:
            return
        where = _among("document_id", document_ids)
        for name in (CHUNKS, VECTORS):
            if table := await self._table(name):
                await self._write(partial(table.delete, where))

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        if limit < 1:
            raise InvalidInputError(f"a search for {limit} chunks finds nothing", hint="ask for one or more")
        with translated(self._folder):
            if isinstance(query, str):
                return await self._search_text(query, limit, _filter_sql(where))
            return await self._search_vector(query, limit, _filter_sql(where))

    async def count(self) -> Held:
        with translated(self._folder):
            tables = [await self._table(name) for name in (CHUNKS, VECTORS)]
            return Held(*[await table.count_rows() if table else 0 for table in tables])

    async def inventory(self) -> Mapping[str, Held]:
        chunks, vectors = [await self._by_document(name) for name in (CHUNKS, VECTORS)]
        return {key: Held(chunks[key], vectors[key]) for key in chunks.keys() | vectors.keys()}

    async def maintain(self) -> None:
        for name in (CHUNKS, VECTORS):
            if table := await self._table(name):
                await self._write(lambda table=table: table.optimize(cleanup_older_than=KEEP_VERSIONS))  # type: ignore[misc]
        if table := await self._table(VECTORS):
            await self._write(lambda: _index_vectors(table))
        await asyncio.to_thread(_give_memory_back)

    async def _search_text(self, query: str, limit: int, where: str) -> list[Scored]:
        table = await self._table(CHUNKS)
        wanted = terms(query)[:LONGEST_QUERY]
        if table is None or not wanted:
            return []
        found = _ranked(await _match(table, wanted, limit, where), limit)
        held: dict[str, Scored] = {}
        for phrase in quoted_phrases(query):
            for row in await _match(table, terms(phrase), PHRASE_CANDIDATES, where, every=True):
                if f" {' '.join(terms(phrase))} ".lower() in f" {row['terms']} ".lower():
                    held[row["id"]] = Scored(row["id"], row["document_id"], row["_score"])
        if not held:
            return found
        bonus = max(hit.score for hit in (*found, *held.values()))
        scores = {hit.chunk_id: hit for hit in (*held.values(), *found)}
        lifted = [Scored(key, hit.document_id, hit.score + bonus * (key in held)) for key, hit in scores.items()]
        return sorted(lifted, key=lambda hit: (-hit.score, hit.chunk_id))[:limit]

    async def _search_vector(self, query: Vectors, limit: int, where: str) -> list[Scored]:
        table = await self._table(VECTORS)
        if table is None:
            return []
        search = table.query().nearest_to(query.astype(np.float16)).distance_type("cosine").nprobes(PROBES)
        if where:
            search = search.where(where)
        rows = await search.select(["id", "document_id", "_distance"]).limit(limit).to_list()
        return _ranked([{**row, "_score": 1 - row["_distance"]} for row in rows], limit)

    async def _by_document(self, name: str) -> Counter[str]:
        with translated(self._folder):
            table = await self._table(name)
            if table is None:
                return Counter()
            rows = await table.query().select(["id", "document_id"]).to_arrow()
            counted = rows.group_by("document_id").aggregate([("id", "count_distinct")])
        pairs = zip(counted["document_id"].to_pylist(), counted["id_count_distinct"].to_pylist(), strict=True)
        return Counter(dict(pairs))

    async def _upsert(self, name: str, rows: "pa.Table") -> None:
        async def merge() -> None:
            table = await self._table(name, schema=rows.schema)
            assert table is not None  # noqa: S101 - created when absent
            await table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)

        await self._write(merge)

    async def _write(self, operation: Callable[[], Awaitable[object]]) -> None:
        """Runs one commit, again when another process committed first."""
        for attempt in range(ATTEMPTS):
            try:
                with translated(self._folder):
                    await operation()
                    return
            except BusyError:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(random.uniform(0, min(1.0, 0.01 * 2**attempt)))  # noqa: S311 - jitter

    async def _table(self, name: str, *, schema: "pa.Schema | None" = None) -> "AsyncTable | None":
        """The open table; with a schema it is created when absent, or when its vectors have other dimensions."""
        if self._connection is None:
            raise StorageError(f"the index {self._folder} is not open", code=ErrorCode.INTERNAL)
        async with self._opening:
            table = self._tables.get(name)
            if table is None and await self._exists(name):
                table = await self._opened(name)
                if table is None and schema is not None:
                    raise BusyError(f"the index {self._folder} is being made by another process", hint="try again")
                if table is None:
                    return None
                if schema is None and not {*ATTRIBUTES} <= set((await table.schema()).names):
                    return None  # of an earlier format: as good as absent, so that it is filled again
                if schema is not None and await table.schema() != schema:
                    table = await self._connection.create_table(name, schema=schema, mode="overwrite")
            if table is None and schema is not None:
                table = await self._connection.create_table(name, schema=schema, exist_ok=True)
            if schema is not None and table is not None and name not in self._tables:
                await _index_scalars(table)
                if name == CHUNKS:
                    await _index_terms(table)
            if table is not None:
                self._tables[name] = table
            return table

    async def _opened(self, name: str) -> "AsyncTable | None":
        """The table; None while another process makes it, whose folder is there before it."""
        assert self._connection is not None  # noqa: S101 - asked only when open
        try:
            return await self._connection.open_table(name)
        except ValueError as error:
            if "was not found" in str(error):
                return None
            raise

    async def _exists(self, name: str) -> bool:
        return await asyncio.to_thread((self._folder / f"{name}.lance").is_dir)


class translated:  # noqa: N801 - used as a function
    """Turns what LanceDB raises into IntelForgeError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, IntelForgeError):
            return
        text = " ".join(str(error).split())
        if CONFLICT.search(text):
            raise BusyError(f"the index {self._folder} is being written by others", hint="try again") from error
        for sign, code, what, hint in SIGNS:
            if sign in text.lower():
                raise StorageError(f"the index {self._folder} {what}", hint=hint, code=code) from error
        raise StorageError(
            f"the index {self._folder} cannot be used ({text[:200]})",
            hint="delete that folder and run: intelforge sync (it rebuilds the index from the database)",
            code=ErrorCode.DAMAGED,
        ) from error


SIGNS = (
    ("no space left", ErrorCode.DISK_FULL, "cannot be written: the disk is full", "free some space, then sync again"),
    ("disk quota", ErrorCode.DISK_FULL, "cannot be written: the disk quota is used up", "free some space"),
    ("read-only file system", ErrorCode.READ_ONLY, "cannot be written: the disk is read-only", "move the workspace"),
    ("permission denied", ErrorCode.READ_ONLY, "may not be read or written", "check the permissions of the folder"),
)


def _chunk_rows(chunks: Sequence[Chunk], about: About) -> "pa.Table":
    import pyarrow as pa

    last = {chunk.id: chunk for chunk in chunks}
    document_ids = [chunk.document_id for chunk in last.values()]
    columns = {
        "id": pa.array(list(last), pa.string()),
        "document_id": pa.array(document_ids, pa.string()),
        "terms": pa.array([terms_text(chunk.embedding_text) for chunk in last.values()], pa.string()),
    }
    return pa.table(columns | _attribute_columns(document_ids, about))


def _attribute_columns(document_ids: Sequence[str], about: About) -> dict[str, "pa.Array"]:
    import pyarrow as pa

    found = [about.get(document_id, Attributes()) for document_id in document_ids]
    labels = {attributes: sorted(map(_key, attributes.labels)) for attributes in set(found)}
    return {
        "labels": pa.array([labels[attributes] for attributes in found], pa.list_(pa.string())),
        "modified": pa.array([attributes.modified for attributes in found], pa.float64()),
        "quality": pa.array([attributes.quality for attributes in found], pa.float64()),
    }


def _key(label: str) -> str:
    """A label as it stands in the index and in SQL: hexadecimal digits, whatever a principal or tag is called."""
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _attribute_sql(attributes: Attributes) -> dict[str, str]:
    labels = ", ".join(f"'{_key(label)}'" for label in sorted(attributes.labels))
    array = f"[{labels}]" if labels else "arrow_cast([], 'List(Utf8)')"
    return {"labels": array, "modified": repr(attributes.modified), "quality": repr(attributes.quality)}


def _filter_sql(where: Filter) -> str:
    """The filter as Lance's SQL; empty when everything passes. All text in it is hashed, all else are numbers."""
    clauses = [_has_any(group) for group in where.any_of]
    if where.none_of:
        clauses.append(f"NOT {_has_any(where.none_of)}")
    if where.documents is not None:
        clauses.append(_among("document_id", where.documents))
    if where.since is not None:
        clauses.append(f"modified >= {float(where.since)!r}")
    if where.until is not None:
        clauses.append(f"modified < {float(where.until)!r}")
    if where.least_quality > 0:
        clauses.append(f"quality >= {float(where.least_quality)!r}")
    return " AND ".join(clauses)


def _has_any(labels: Collection[str]) -> str:
    keys = ", ".join(f"'{_key(label)}'" for label in sorted(labels))
    return f"array_has_any(labels, [{keys}])" if keys else "false"


def _among(column: str, values: Collection[str]) -> str:
    literals = ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(set(values)))
    return f"{column} IN ({literals})" if literals else "false"


def _vector_rows(chunk_ids: Sequence[str], vectors: Vectors, about: About) -> "pa.Table":
    """Vectors are kept in float16: half the disk and the reading, with the same ranking."""
    import pyarrow as pa

    last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
    kept = np.ascontiguousarray(vectors[list(last.values())], np.float16)
    document_ids = [chunk_id.rpartition(":")[0] for chunk_id in last]
    columns = {
        "id": pa.array(list(last), pa.string()),
        "document_id": pa.array(document_ids, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(kept.ravel()), kept.shape[1]),
    }
    return pa.table(columns | _attribute_columns(document_ids, about))


async def _match(
    table: "AsyncTable", wanted: Sequence[str], limit: int, where: str, *, every: bool = False
) -> list[dict[str, Any]]:
    """Rows by BM25. The terms go in as data, so nothing in them can be taken for syntax."""
    from lancedb.query import FullTextOperator, MatchQuery

    operator = FullTextOperator.AND if every else FullTextOperator.OR
    query = MatchQuery(" ".join(wanted), "terms", operator=operator)  # type: ignore[call-arg]
    columns = ["id", "document_id", "_score", *(["terms"] if every else [])]
    search = table.query().nearest_to_text(query)
    if where:
        search = search.where(where)
    rows: list[dict[str, Any]] = await search.select(columns).limit(limit).to_list()
    return rows


def _ranked(rows: list[dict[str, Any]], limit: int) -> list[Scored]:
    """Best first, ties by id, each chunk once."""
    ordered = sorted(rows, key=lambda row: (-row["_score"], row["id"]))
    once = {row["id"]: row for row in reversed(ordered)}
    best = [row for row in ordered if once[row["id"]] is row]
    return [Scored(row["id"], row["document_id"], row["_score"]) for row in best[:limit]]


def _give_memory_back() -> None:
    """Folding takes hundreds of MB for a moment, which glibc would keep."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


async def _index_terms(table: "AsyncTable") -> None:
    """The BM25 index, made while the table is empty so that its analysis also holds for rows not yet in it."""
    from lancedb.index import FTS

    if any("terms" in index.columns for index in await table.list_indices()):
        return
    config = FTS(
        base_tokenizer="whitespace",
        custom_stop_words=sorted(STOP_WORDS),
        max_token_length=LONGEST_TERM,
    )
    await table.create_index("terms", config=config)


async def _index_scalars(table: "AsyncTable") -> None:
    """Indices of what filters ask for, so that a filter costs no scan."""
    from lancedb import index

    there = {column for entry in await table.list_indices() for column in entry.columns}
    for column, kind in INDEXED:
        if column not in there:
            await table.create_index(column, config=getattr(index, kind)())


async def _index_vectors(table: "AsyncTable") -> None:
    from lancedb.index import IvfFlat

    rows = await table.count_rows()
    if rows < ANN_FROM or any("vector" in entry.columns for entry in await table.list_indices()):
        return
    await table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=math.isqrt(rows)))

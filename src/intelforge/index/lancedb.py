"""The vector store `lancedb:FOLDER`: two tables on disk, one of terms with a BM25 index, one of vectors.

They are apart so that adding vectors never touches the text index. Rows that are not yet in an index are found all
the same, by a scan: a write is searchable on return, and `maintain` only makes it fast. Each write is one commit of a
table version (a new file, renamed into place), so a killed process leaves the version before. Lance does not fsync:
after a power cut the last versions can be missing, which `inventory` shows.
"""

import asyncio
import ctypes
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from intelforge.core.errors import BusyError, ErrorCode, InvalidInputError, StorageError
from intelforge.core.index_reports import Tuning
from intelforge.core.values import Attributes, Chunk
from intelforge.index.analysis import quoted_phrases, terms
from intelforge.index.lancedb_errors import translated
from intelforge.index.lancedb_filter import among, attribute_sql, filter_sql
from intelforge.index.lancedb_import import import_lancedb
from intelforge.index.lancedb_indices import index_scalars, index_terms
from intelforge.index.lancedb_rows import chunk_rows, vector_rows
from intelforge.index.lancedb_tuning import maintain_vectors, tune, tuned, tuning_of
from intelforge.index.protocol import EVERYTHING, NOTHING_KNOWN, About, Filter, Held, Scored, Vectors, folder_of_version
from intelforge.index.server_url import wrong_dimensions
from intelforge.index.spelling import likeliest
from intelforge.index.store_rules import check_limit, check_vectors, document_of, held_by_document, ranked

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb import AsyncConnection
    from lancedb.table import AsyncTable

CHUNKS = "chunks"
VECTORS = "vectors"

ATTRIBUTES = ("labels", "modified", "quality")
"""columns that filters ask for, beside `document_id`"""
LONGEST_QUERY = 1000
"""terms; a longer query is a document, and its first thousand terms say what it is about"""
SIMILAR_ROWS = 200
"""chunks with a word spelt alike that are looked at for that word"""
PHRASE_CANDIDATES = 2000
"""chunks that hold all words of a quoted phrase and are looked through for it, best first"""
NO_VECTORS = Tuning(rows=0, dimensions=0, reason="no vectors are held")
INDEX_CACHE, METADATA_CACHE = 512 << 20, 128 << 20
"""bytes of the indices and of what describes the files that stay in memory; Lance's own limits are several GB"""
KEEP_VERSIONS = timedelta(minutes=10)
"""how long a reader in another process may go on with the version it opened"""
ATTEMPTS = 12


def open_store(url: str, *, root: Path, version: int = 1, secrets: Mapping[str, str] | None = None) -> "LanceStore":
    """The store in the folder named by the URL, relative to `root`. The folder is made by the first write.

    Raises InvalidInputError for a URL without a folder. Nothing is read before `async with`.
    """
    folder = url.partition(":")[2].removeprefix("//")
    if not folder:
        raise InvalidInputError(f"{url!r} names no folder", hint="write it as lancedb:.intelforge/index")
    return LanceStore(folder_of_version(root / Path(folder).expanduser(), version))


class LanceStore:
    """Chunks and vectors in LanceDB. May be used by several tasks and processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection: AsyncConnection | None = None
        self._tables: dict[str, AsyncTable] = {}
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        os.environ.setdefault("LANCEDB_LOG", "error")  # Lance writes notices to stderr otherwise
        lancedb = await asyncio.to_thread(import_lancedb)
        with translated(self._folder):
            self._connection = await lancedb.connect_async(
                self._folder,
                read_consistency_interval=timedelta(0),
                session=lancedb.Session(index_cache_size_bytes=INDEX_CACHE, metadata_cache_size_bytes=METADATA_CACHE),
            )
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
        rows = await asyncio.to_thread(chunk_rows, chunks, about)
        await self._upsert(CHUNKS, rows)

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        check_vectors(chunk_ids, vectors)
        if len(chunk_ids):
            await self._upsert(VECTORS, vector_rows(chunk_ids, vectors, about))

    async def describe(self, about: About) -> None:
        alike: dict[Attributes, list[str]] = {}
        for document_id, attributes in about.items():
            alike.setdefault(attributes, []).append(document_id)
        for attributes, document_ids in alike.items():
            where, values = among("document_id", document_ids), attribute_sql(attributes)
            for name in (CHUNKS, VECTORS):
                if table := await self._table(name):
                    await self._write(partial(table.update, where=where, updates_sql=values))

    async def delete(self, document_ids: Collection[str]) -> None:
        if not document_ids:
            return
        where = among("document_id", document_ids)
        for name in (CHUNKS, VECTORS):
            if table := await self._table(name):
                await self._write(partial(table.delete, where))

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        with translated(self._folder):
            if isinstance(query, str):
                return await self._search_text(query, limit, filter_sql(where))
            return await self._search_vector(query, limit, filter_sql(where))

    async def similar(self, word: str, *, where: Filter) -> list[str]:
        """As `spelling.FuzzyText` says: the words are read from the best rows of a fuzzy match."""
        with translated(self._folder):
            table = await self._table(CHUNKS)
            rows = await _match(table, [word.lower()], SIMILAR_ROWS, filter_sql(where), fuzzy=True) if table else []
        return likeliest(word, Counter(term for row in rows for term in set(row["terms"].lower().split())))

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        found: dict[str, Vectors] = {}
        with translated(self._folder):
            table = await self._table(VECTORS) if chunk_ids else None
            if table is None:
                return found
            documents = among("document_id", {document_of(chunk_id) for chunk_id in chunk_ids})
            where = f"{documents} AND {among('id', chunk_ids)}"
            rows = await table.query().where(where).select(["id", "vector"]).to_arrow()
        matrix = [np.asarray(vector, np.float32) for vector in rows["vector"].to_numpy(zero_copy_only=False)]
        return dict(zip(rows["id"].to_pylist(), matrix, strict=True))

    async def count(self) -> Held:
        with translated(self._folder):
            tables = [await self._table(name) for name in (CHUNKS, VECTORS)]
            return Held(*[await table.count_rows() if table else 0 for table in tables])

    async def inventory(self) -> Mapping[str, Held]:
        chunks, vectors = [await self._by_document(name) for name in (CHUNKS, VECTORS)]
        return held_by_document(chunks, vectors)

    async def maintain(self) -> None:
        for name in (CHUNKS, VECTORS):
            if table := await self._table(name):
                await self._write(lambda table=table: table.optimize(cleanup_older_than=KEEP_VERSIONS))  # type: ignore[misc]
        if table := await self._table(VECTORS):
            await self._write(lambda: maintain_vectors(table))
        await asyncio.to_thread(_give_memory_back)

    async def tuning(self) -> Tuning:
        with translated(self._folder):
            table = await self._table(VECTORS)
            return await tuning_of(table) if table else NO_VECTORS

    async def tune(self, *, apply: bool) -> Tuning:
        with translated(self._folder):
            table = await self._table(VECTORS)
            return await tune(table, apply=apply) if table else NO_VECTORS

    async def drop(self) -> None:
        for table in self._tables.values():
            table.close()  # type: ignore[no-untyped-call]
        self._tables.clear()
        with translated(self._folder):
            await asyncio.to_thread(_remove, self._folder)

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
        return ranked(lifted, limit)

    async def _search_vector(self, query: Vectors, limit: int, where: str) -> list[Scored]:
        table = await self._table(VECTORS)
        if table is None:
            return []
        held = (await table.schema()).field("vector").type.list_size
        if held != len(query):
            raise wrong_dimensions(str(self._folder), held, len(query))
        search = table.query().nearest_to(query.astype(np.float16)).distance_type("cosine")
        if found := await tuned(table):
            search = found.applied(search, limit=limit, filtered=bool(where))
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
        """The open table; with a schema it is made when absent, of an earlier format, or empty with other dimensions.

        Raises StorageError when it holds vectors of other dimensions than the schema.
        """
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
            if table is not None and schema is not None and await table.schema() != schema:
                await self._refuse_dimensions(table, schema)
                self._tables.pop(name, None)
                table = await self._connection.create_table(name, schema=schema, mode="overwrite")
            if table is None and schema is not None:
                table = await self._connection.create_table(name, schema=schema, exist_ok=True)
            if schema is not None and table is not None and name not in self._tables:
                await index_scalars(table)
                if name == CHUNKS:
                    await index_terms(table)
            if table is not None:
                self._tables[name] = table
            return table

    async def _refuse_dimensions(self, table: "AsyncTable", schema: "pa.Schema") -> None:
        held = await table.schema()
        if {"vector", *ATTRIBUTES} <= {*held.names} and "vector" in schema.names:
            size, asked = (each.field("vector").type.list_size for each in (held, schema))
            if size != asked and await table.count_rows():
                raise wrong_dimensions(str(self._folder), size, asked)

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


def _remove(folder: Path) -> None:
    """Only what is ours: the folder may hold other things."""
    for name in (CHUNKS, VECTORS):
        shutil.rmtree(folder / f"{name}.lance", ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


async def _match(
    table: "AsyncTable", wanted: Sequence[str], limit: int, where: str, *, every: bool = False, fuzzy: bool = False
) -> list[dict[str, Any]]:
    """Rows by BM25. The terms go in as data, so nothing in them can be taken for syntax.

    With `every` or `fuzzy`, which finds words that are spelt alike, rows have their terms.
    """
    from lancedb.query import FullTextOperator, MatchQuery

    operator = FullTextOperator.AND if every else FullTextOperator.OR
    edits, same = (2, 1) if fuzzy else (0, 0)
    query = MatchQuery(" ".join(wanted), "terms", operator=operator, fuzziness=edits, prefix_length=same)  # type: ignore[call-arg]
    columns = ["id", "document_id", "_score", *(["terms"] if every or fuzzy else [])]
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

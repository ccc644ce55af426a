"""The vector store `postgresql://…`: words and vectors in a schema of their own, with pgvector 0.8 or newer.

Text is ranked by BM25 proper. Matching is PostgreSQL's text search over our own words; in how many chunks a word
stands is kept by every write, and how often it stands in a chunk is read back from `ts_rank`. Attributes are kept once
a document. Writers wait for each other, readers never wait.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from psycopg import AsyncConnection, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import Identifier, Literal
from psycopg_pool import AsyncConnectionPool

from intelforge.core.errors import BackendError, ErrorCode, StorageError
from intelforge.core.values import Attributes, Chunk
from intelforge.index import pgvector_sql as statements
from intelforge.index.pgvector_errors import translated
from intelforge.index.pgvector_sql import Session
from intelforge.index.protocol import EVERYTHING, NOTHING_KNOWN, About, Filter, Held, Scored, Vectors, name_of_version
from intelforge.index.server_url import TIMEOUT, too_slow, wrong_dimensions
from intelforge.index.spelling import edits_of, likeliest
from intelforge.index.store_rules import K1, B, check_limit, check_vectors, document_of
from intelforge.index.words import folded, label_key, query_phrases, query_words, words

SCHEMA: Final = "intelforge_index"
HEAVIEST: Final = 64
"""words of a query that count; the others of a long one say little more and take much longer"""
SIMILAR: Final = 10
"""words spelt alike that are looked up"""
LAST_POSITION: Final = 16383
"""that a tsvector can hold"""
ANN_FROM: Final = 50_000
"""vectors from which on an approximate index pays; below, a scan of all is exact and fast"""
CANDIDATES: Final = 1000
"""that one step of a search in the approximate index looks at, the most that pgvector takes: questions lie apart from
texts, and many a path ends early"""
CONNECT_SECONDS: Final = 10
POOL: Final = 4
OLDEST: Final = (0, 8)
"""pgvector that goes on scanning until enough rows pass a filter"""


def open_store(url: str, *, root: Path, version: int = 1, secrets: Mapping[str, str] | None = None) -> "PgvectorStore":
    """The store in the database of the URL; the root has nothing to say. Nothing is connected to before `async with`.

    Raises BackendError for a URL that cannot be read, without showing it.
    """
    try:
        parsed = conninfo_to_dict(url)
    except ProgrammingError:
        parsed = {"port": "unreadable"}
    if not re.fullmatch(r"[\d,]*", str(parsed.get("port", ""))):
        raise BackendError("the index URL cannot be read", hint="write it as postgresql://user@host:5432/database")
    place = f"{parsed.get('host', 'localhost')}/{parsed.get('dbname', '')}"
    return PgvectorStore(url, place=place, schema=name_of_version(SCHEMA, version))


class PgvectorStore:
    """Chunks and vectors in PostgreSQL. May be used by several tasks and processes at once."""

    def __init__(self, url: str, *, place: str, schema: str = SCHEMA) -> None:
        self._url = url
        self._place = place
        self._schema = schema
        self._dropped = False
        self._pool: AsyncConnectionPool | None = None

    async def __aenter__(self) -> Self:
        with translated(self._place):
            async with await self._connect() as connection, connection.cursor() as cursor:
                await _prepare(Session(cursor, self._schema), self._place)
            logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())  # what it says is raised as well
            self._pool = AsyncConnectionPool(
                self._url,
                min_size=1,
                max_size=POOL,
                timeout=CONNECT_SECONDS,
                kwargs={"prepare_threshold": None},
                check=AsyncConnectionPool.check_connection,
                open=False,
            )
            await self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool:
            await pool.close()

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        if not chunks:
            return
        last = {chunk.id: chunk for chunk in chunks}
        document_ids = [chunk.document_id for chunk in last.values()]
        found = await asyncio.to_thread(lambda: [words(chunk.embedding_text) for chunk in last.values()])
        holding = sorted(Counter(word for each in found for word in set(each)).items())
        vectors, lengths = [_text_vector(each) for each in found], [len(each) for each in found]
        async with self._writing() as session:
            await _know(session, document_ids, about)
            await session.run(statements.FORGET_CHUNKS, [list(last)])
            await session.run(statements.ADD_CHUNKS, [list(last), document_ids, lengths, vectors])
            await session.run(statements.COUNT_WORDS, [[word for word, _ in holding], [n for _, n in holding]])

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        check_vectors(chunk_ids, vectors)
        if not len(chunk_ids):
            return
        last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
        document_ids = [document_of(chunk_id) for chunk_id in last]
        rows = [_literal(vectors[row]) for row in last.values()]
        async with self._writing() as session:
            await _know(session, document_ids, about)
            held = await _dimensions(session)
            if held != vectors.shape[1]:
                if await session.rows(statements.COUNT_VECTORS) != [(0,)]:
                    raise wrong_dimensions(self._place, held, vectors.shape[1])
                await session.run(statements.VECTORS_TABLE, dimensions=Literal(vectors.shape[1]))
            await session.run(statements.ADD_VECTORS, [list(last), document_ids, rows])

    async def describe(self, about: About) -> None:
        if about:
            async with self._writing() as session:
                await session.run_many(statements.DESCRIBE, _described(about))

    async def delete(self, document_ids: Collection[str]) -> None:
        if not document_ids:
            return
        gone = [sorted(set(document_ids))]
        async with self._writing() as session:
            await session.run(statements.FORGET_CHUNKS_OF, gone)
            if await _dimensions(session):
                await session.run(statements.FORGET_VECTORS_OF, gone)
            await session.run(statements.FORGET_DOCUMENTS, gone)

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        async with self._reading() as session:
            if isinstance(query, str):
                rows = await _search_text(session, query, limit, where)
            else:
                rows = await _search_vector(session, query, limit, where, self._place)
        return sorted((Scored(*row) for row in rows), key=lambda hit: (-hit.score, hit.chunk_id))

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        async with self._reading() as session:
            if not chunk_ids or not await _dimensions(session):
                return {}
            rows = await session.rows(statements.VECTORS_OF, [list(chunk_ids)])
        return {chunk_id: np.asarray(vector, np.float32) for chunk_id, vector in rows}

    async def similar(self, word: str, *, where: Filter) -> list[str]:
        """As `spelling.FuzzyText` says."""
        word = folded(word)
        given = {"first": word[:1], "least": len(word) - edits_of(word), "most": len(word) + edits_of(word)}
        async with self._reading() as session:
            near = likeliest(word, dict(await session.rows(statements.VOCABULARY, given)))[:SIMILAR]
            return [each for each in near if await _search_text(session, each, 1, where)]

    async def count(self) -> Held:
        async with self._reading() as session:
            [row] = await session.rows(statements.COUNT)
            return Held(*row)

    async def inventory(self) -> Mapping[str, Held]:
        async with self._reading() as session:
            counted = statements.INVENTORY if await _dimensions(session) else statements.INVENTORY_OF_CHUNKS
            return {key: Held(int(chunks), int(vectors)) for key, chunks, vectors in await session.rows(counted)}

    async def maintain(self) -> None:
        async with self._writing() as session:
            await session.run(statements.DROP_UNUSED_WORDS)
            [[vectors]] = await session.rows(statements.COUNT_VECTORS)
            if vectors >= ANN_FROM:
                await session.run(statements.MORE_MEMORY)
                await session.run(statements.INDEX_VECTORS)
        with translated(self._place):
            async with await self._connect(autocommit=True) as connection, connection.cursor() as cursor:
                for table in ("documents", "chunks", "words", *(["vectors"] if vectors else [])):
                    await Session(cursor, self._schema).run(statements.VACUUM, table=Identifier(table))

    async def drop(self) -> None:
        async with self._writing() as session:
            await session.run(statements.DROP)
        self._dropped = True

    def _connect(self, *, autocommit: bool = False) -> Any:
        return AsyncConnection.connect(self._url, connect_timeout=CONNECT_SECONDS, autocommit=autocommit)

    @asynccontextmanager
    async def _reading(self) -> "AsyncIterator[Session]":
        """One transaction that ends in time, since someone waits for it."""
        try:
            async with asyncio.timeout(TIMEOUT), self._session() as session:
                yield session
        except TimeoutError as error:
            raise too_slow(self._place) from error

    @asynccontextmanager
    async def _session(self) -> "AsyncIterator[Session]":
        if self._pool is None:
            raise StorageError(f"the index {self._place} is not open", code=ErrorCode.INTERNAL)
        with translated(self._place):
            async with self._pool.connection() as connection, connection.cursor() as cursor:
                session = Session(cursor, self._schema)
                if self._dropped:
                    await _prepare(session, self._place)
                    await connection.commit()
                    self._dropped = False
                yield session

    @asynccontextmanager
    async def _writing(self) -> "AsyncIterator[Session]":
        """One transaction; the next writer, here or elsewhere, waits for its end."""
        async with self._session() as session:
            await session.lock()
            yield session


async def _prepare(session: "Session", place: str) -> None:
    """Makes what is missing of extension and tables; a role that may only read can open what is there."""
    if not await session.rows(statements.VERSION):
        await session.lock()
        await session.run(statements.EXTENSION)
    [[version]] = await session.rows(statements.VERSION)
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise StorageError(
            f"the index {place} has pgvector {version}",
            hint="install 0.8 or newer there, and run: ALTER EXTENSION vector UPDATE",
            code=ErrorCode.UNSUPPORTED,
        )
    totals = [f"{session.schema}.totals"]
    if await session.rows(statements.HAS_TABLES, totals) == [(False,)]:
        await session.lock()
        if await session.rows(statements.HAS_TABLES, totals) == [(False,)]:
            await session.run(statements.TABLES)


async def _dimensions(session: "Session") -> int:
    """Of the vectors that are held; 0 when there are none."""
    found = await session.rows(statements.DIMENSIONS, [f"{session.schema}.vectors"])
    return int(found[0][0]) if found else 0


async def _know(session: "Session", document_ids: Iterable[str], about: About) -> None:
    known = sorted(set(document_ids))
    await session.run(statements.KNOW_DOCUMENTS, [known])
    if described := _described({key: about[key] for key in known if key in about}):
        await session.run_many(statements.DESCRIBE, described)


def _described(about: Mapping[str, Attributes]) -> list[tuple[list[str], float, float, str]]:
    return [
        (sorted(map(label_key, each.labels)), each.modified, each.quality, document_id)
        for document_id, each in sorted(about.items())
    ]


async def _search_text(session: "Session", query: str, limit: int, where: Filter) -> list[tuple[Any, ...]]:
    asked = Counter(query_words(query))
    weighed = await session.rows(statements.WEIGH_WORDS, [list(asked), list(asked.values()), HEAVIEST])
    if not weighed:
        return []
    phrases = " | ".join(f"({' <-> '.join(map(_quoted, phrase))})" for phrase in query_phrases(query))
    given = {
        "words": [_quoted(word) for word, _, _ in weighed],
        "weights": [weight for _, weight, _ in weighed],
        "average": weighed[0][2],
        "any": " | ".join(_quoted(word) for word, _, _ in weighed),
        "phrases": phrases or None,
        "ranks": RANKS,
        "k1": K1,
        "b": B,
        "limit": limit,
    }
    return await session.search(statements.SEARCH_TEXT, where, given)


async def _search_vector(
    session: "Session", query: Vectors, limit: int, where: Filter, place: str
) -> list[tuple[Any, ...]]:
    held = await _dimensions(session)
    if not held:
        return []
    if held != len(query):
        raise wrong_dimensions(place, held, len(query))
    given = {"query": _literal(query), "limit": limit}
    await session.run(statements.SCAN_FURTHER, [str(CANDIDATES)])
    rows = await session.search(statements.SEARCH_VECTOR, where, given)
    if (
        where != EVERYTHING and len(rows) < limit
    ):  # the approximate index may have given up before it met the few admitted
        await session.run(statements.EXACTLY)
        rows = await session.search(statements.SEARCH_VECTOR, where, given)
    return rows


def _text_vector(found: Sequence[str]) -> str:
    """As PostgreSQL reads a tsvector: each word with its places."""
    places: dict[str, list[str]] = {}
    for number, word in enumerate(found, start=1):
        places.setdefault(word, []).append(str(min(number, LAST_POSITION)))
    return " ".join(f"{_quoted(word)}:{','.join(found)}" for word, found in places.items())


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


def _literal(vector: Vectors) -> str:
    return str(np.asarray(vector, np.float16).tolist())


def _ranks() -> list[float]:
    """What `ts_rank` of one word lies above when it stands n times in a text: the sum of 1/j² up to n, over π²/6."""
    sums = [0.0]
    for times in range(1, 256):
        sums.append(sums[-1] + 1 / times**2 / 1.64493406685)
    return [(below + above) / 2 for below, above in pairwise(sums)]


RANKS: Final = _ranks()

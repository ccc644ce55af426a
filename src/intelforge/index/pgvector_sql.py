"""The statements of the vector store on PostgreSQL. Everything from outside goes in as a parameter.

`{schema}` is where the tables of a version of the index are.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from psycopg import AsyncCursor
from psycopg.sql import SQL, Composable, Composed, Identifier, Placeholder

from intelforge.index.protocol import Filter
from intelforge.index.words import label_key

LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext(%s))"
VERSION: Final = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
EXTENSION: Final = "CREATE EXTENSION IF NOT EXISTS vector"
HAS_TABLES: Final = "SELECT to_regclass(%s) IS NOT NULL"
TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE {schema}.documents (
    id text PRIMARY KEY, labels text[] NOT NULL DEFAULT '{{}}', modified float8 NOT NULL DEFAULT 0,
    quality float8 NOT NULL DEFAULT 1
);
CREATE INDEX ON {schema}.documents USING gin (labels);
CREATE INDEX ON {schema}.documents (modified);
CREATE TABLE {schema}.chunks (
    id text PRIMARY KEY, document_id text NOT NULL, length integer NOT NULL, words tsvector NOT NULL
);
CREATE INDEX ON {schema}.chunks (document_id);
CREATE INDEX ON {schema}.chunks USING gin (words);
CREATE TABLE {schema}.words (word text PRIMARY KEY, holding bigint NOT NULL);
CREATE TABLE {schema}.totals (chunks bigint NOT NULL, length bigint NOT NULL, vectors bigint NOT NULL);
INSERT INTO {schema}.totals VALUES (0, 0, 0);
"""

KNOW_DOCUMENTS: Final = "INSERT INTO {schema}.documents (id) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
DESCRIBE: Final = "UPDATE {schema}.documents SET labels = %s, modified = %s, quality = %s WHERE id = %s"

_FORGET_CHUNKS: Final = """
WITH gone AS (DELETE FROM {schema}.chunks WHERE COLUMN = ANY(%s) RETURNING length, words),
less AS (
    UPDATE {schema}.words SET holding = holding - fewer.chunks
    FROM (SELECT word, count(*) AS chunks FROM gone, unnest(tsvector_to_array(words)) AS word GROUP BY word) AS fewer
    WHERE words.word = fewer.word
)
UPDATE {schema}.totals SET chunks = chunks - (SELECT count(*) FROM gone),
    length = length - (SELECT coalesce(sum(gone.length), 0) FROM gone)
"""
FORGET_CHUNKS: Final = _FORGET_CHUNKS.replace("COLUMN", "id")
FORGET_CHUNKS_OF: Final = _FORGET_CHUNKS.replace("COLUMN", "document_id")
FORGET_VECTORS_OF: Final = """
WITH gone AS (DELETE FROM {schema}.vectors WHERE document_id = ANY(%s) RETURNING 1)
UPDATE {schema}.totals SET vectors = vectors - (SELECT count(*) FROM gone)
"""
FORGET_DOCUMENTS: Final = "DELETE FROM {schema}.documents WHERE id = ANY(%s)"

ADD_CHUNKS: Final = """
WITH added AS (
    INSERT INTO {schema}.chunks (id, document_id, length, words)
    SELECT id, document_id, length, words::tsvector
    FROM unnest(%s::text[], %s::text[], %s::integer[], %s::text[]) AS given (id, document_id, length, words)
    RETURNING length
)
UPDATE {schema}.totals SET chunks = chunks + (SELECT count(*) FROM added),
    length = totals.length + (SELECT coalesce(sum(added.length), 0) FROM added)
"""
COUNT_WORDS: Final = """
INSERT INTO {schema}.words (word, holding) SELECT * FROM unnest(%s::text[], %s::bigint[])
ON CONFLICT (word) DO UPDATE SET holding = words.holding + excluded.holding
"""
DROP_UNUSED_WORDS: Final = "DELETE FROM {schema}.words WHERE holding <= 0"

DIMENSIONS: Final = """
SELECT atttypmod FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attname = 'vector' AND NOT attisdropped
"""
VECTORS_TABLE: Final = """
DROP TABLE IF EXISTS {schema}.vectors;
CREATE TABLE {schema}.vectors (
    id text PRIMARY KEY, document_id text NOT NULL, vector halfvec({dimensions}) NOT NULL
);
CREATE INDEX ON {schema}.vectors (document_id);
UPDATE {schema}.totals SET vectors = 0;
"""
ADD_VECTORS: Final = """
WITH added AS (
    INSERT INTO {schema}.vectors (id, document_id, vector)
    SELECT id, document_id, vector::halfvec
    FROM unnest(%s::text[], %s::text[], %s::text[]) AS given (id, document_id, vector)
    ON CONFLICT (id) DO UPDATE SET vector = excluded.vector
    RETURNING (xmax = 0) AS fresh
)
UPDATE {schema}.totals SET vectors = vectors + (SELECT count(*) FROM added WHERE fresh)
"""
INDEX_VECTORS: Final = """
CREATE INDEX IF NOT EXISTS vectors_by_cosine ON {schema}.vectors USING hnsw (vector halfvec_cosine_ops)
    WITH (m = 32, ef_construction = 128)
"""

VECTORS_OF: Final = "SELECT id, vector::real[] FROM {schema}.vectors WHERE id = ANY(%s)"
DROP: Final = """
DROP TABLE IF EXISTS {schema}.documents, {schema}.chunks, {schema}.words, {schema}.totals, {schema}.vectors;
DO $$ BEGIN
    DROP SCHEMA IF EXISTS {schema};
EXCEPTION WHEN dependent_objects_still_exist THEN NULL;
END $$
"""
"""What is not ours in the schema stays, and the schema with it."""

COUNT: Final = "SELECT chunks, vectors FROM {schema}.totals"
COUNT_VECTORS: Final = "SELECT vectors FROM {schema}.totals"
INVENTORY: Final = """
SELECT document_id, sum(chunks), sum(vectors) FROM (
    SELECT document_id, count(*) AS chunks, 0 AS vectors FROM {schema}.chunks GROUP BY document_id
    UNION ALL
    SELECT document_id, 0, count(*) FROM {schema}.vectors GROUP BY document_id
) AS counted GROUP BY document_id
"""
INVENTORY_OF_CHUNKS: Final = "SELECT document_id, count(*), 0 FROM {schema}.chunks GROUP BY document_id"
MORE_MEMORY: Final = "SELECT set_config('maintenance_work_mem', '256MB', true)"
VACUUM: Final = "VACUUM (ANALYZE, SKIP_LOCKED) {schema}.{table}"

WEIGH_WORDS: Final = """
SELECT word, times * ln(1 + (chunks - holding + 0.5) / (holding + 0.5))::float8, length::float8 / chunks
FROM unnest(%s::text[], %s::integer[]) AS asked (word, times)
JOIN {schema}.words USING (word) CROSS JOIN {schema}.totals
WHERE holding > 0 AND chunks > 0 ORDER BY 2 DESC, 1 LIMIT %s
"""
VOCABULARY: Final = """
SELECT word, holding FROM {schema}.words
WHERE left(word, 1) = %(first)s AND length(word) BETWEEN %(least)s AND %(most)s AND holding > 0
"""
SEARCH_TEXT: Final = """
SELECT id, document_id, score + max(score) OVER () * coalesce(words @@ %(phrases)s::tsquery, false)::integer
FROM (
    SELECT id, document_id, words, (
        SELECT sum(weight * times * (%(k1)s + 1) / (times + %(k1)s * (1 - %(b)s + %(b)s * length / %(average)s)))
        FROM (
            SELECT weight, width_bucket(
                ts_rank('{{1, 1, 1, 1}}', words, word::tsquery)::float8, %(ranks)s::float8[]
            )::float8 AS times
            FROM unnest(%(words)s::text[], %(weights)s::float8[]) AS asked (word, weight)
        ) AS counted
    ) AS score
    FROM {schema}.chunks WHERE words @@ %(any)s::tsquery{admitted}
) AS scored ORDER BY 3 DESC, id LIMIT %(limit)s
"""
SEARCH_VECTOR: Final = """
SELECT id, document_id, 1 - (vector <=> %(query)s::halfvec) FROM {schema}.vectors
WHERE true{admitted} ORDER BY vector <=> %(query)s::halfvec LIMIT %(limit)s
"""
SCAN_FURTHER: Final = """
SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.max_scan_tuples', '2147483647', true),
    set_config('hnsw.ef_search', %s, true)
"""
EXACTLY: Final = "SELECT set_config('enable_indexscan', 'off', true)"


_CLAUSES: Final = {
    "none_of": SQL("NOT labels && %(none_of)s::text[]"),
    "documents": SQL("id = ANY(%(documents)s::text[])"),
    "since": SQL("modified >= %(since)s"),
    "until": SQL("modified < %(until)s"),
    "least_quality": SQL("quality >= %(least_quality)s"),
}
_ADMITTED: Final = SQL(" AND document_id IN (SELECT id FROM {schema}.documents WHERE {})")


class Session:
    """A transaction on the tables of one version of the index."""

    def __init__(self, cursor: "AsyncCursor[Any]", schema: str) -> None:
        self._cursor = cursor
        self.schema = schema

    async def run(self, statement: str, parameters: Any = None, **parts: Composable) -> None:
        await self._cursor.execute(self._composed(statement, parts), parameters)

    async def run_many(self, statement: str, parameters: Iterable[Any]) -> None:
        await self._cursor.executemany(self._composed(statement, {}), parameters)

    async def rows(self, statement: str, parameters: Any = None, **parts: Composable) -> list[tuple[Any, ...]]:
        await self.run(statement, parameters, **parts)
        return await self._cursor.fetchall()

    async def lock(self) -> None:
        """Until the end of the transaction, against other writers of this version."""
        await self.run(LOCK, [self.schema.replace("_", " ")])

    async def search(self, statement: str, where: Filter, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        admitted, given = _admitted(where, Identifier(self.schema))
        return await self.rows(statement, {**parameters, **given}, admitted=admitted)

    def _composed(self, statement: str, parts: Mapping[str, Composable]) -> Composed:
        return SQL(statement).format(schema=Identifier(self.schema), **parts)


def _admitted(where: Filter, schema: Identifier) -> tuple[Composable, dict[str, Any]]:
    """The filter as a condition, and its parameters; none when everything passes."""
    groups = {f"group{number}": sorted(map(label_key, group)) for number, group in enumerate(where.any_of)}
    others = {
        "none_of": sorted(map(label_key, where.none_of)) or None,
        "documents": None if where.documents is None else sorted(where.documents),
        "since": where.since,
        "until": where.until,
        "least_quality": where.least_quality or None,
    }
    asked = {name: value for name, value in others.items() if value is not None}
    clauses = [SQL("labels && {}::text[]").format(Placeholder(name)) for name in groups]
    clauses += [_CLAUSES[name].format() for name in asked]
    if not clauses:
        return SQL(""), {}
    return _ADMITTED.format(SQL(" AND ").join(clauses), schema=schema), groups | asked

"""The statements of the vector store on PostgreSQL. Everything from outside goes in as a parameter."""

from typing import Any, Final

from psycopg.sql import SQL, Composed, Placeholder

from intelforge.index.protocol import Filter
from intelforge.index.words import label_key

LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('intelforge index'))"
VERSION: Final = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
EXTENSION: Final = "CREATE EXTENSION IF NOT EXISTS vector"
HAS_TABLES: Final = "SELECT to_regclass('intelforge_index.totals') IS NOT NULL"
TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS intelforge_index;
CREATE TABLE intelforge_index.documents (
    id text PRIMARY KEY, labels text[] NOT NULL DEFAULT '{}', modified float8 NOT NULL DEFAULT 0,
    quality float8 NOT NULL DEFAULT 1
);
CREATE INDEX ON intelforge_index.documents USING gin (labels);
CREATE INDEX ON intelforge_index.documents (modified);
CREATE TABLE intelforge_index.chunks (
    id text PRIMARY KEY, document_id text NOT NULL, length integer NOT NULL, words tsvector NOT NULL
);
CREATE INDEX ON intelforge_index.chunks (document_id);
CREATE INDEX ON intelforge_index.chunks USING gin (words);
CREATE TABLE intelforge_index.words (word text PRIMARY KEY, holding bigint NOT NULL);
CREATE TABLE intelforge_index.totals (chunks bigint NOT NULL, length bigint NOT NULL, vectors bigint NOT NULL);
INSERT INTO intelforge_index.totals VALUES (0, 0, 0);
"""

KNOW_DOCUMENTS: Final = "INSERT INTO intelforge_index.documents (id) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
DESCRIBE: Final = "UPDATE intelforge_index.documents SET labels = %s, modified = %s, quality = %s WHERE id = %s"

_FORGET_CHUNKS: Final = SQL("""
WITH gone AS (DELETE FROM intelforge_index.chunks WHERE {} = ANY(%s) RETURNING length, words),
less AS (
    UPDATE intelforge_index.words SET holding = holding - fewer.chunks
    FROM (SELECT word, count(*) AS chunks FROM gone, unnest(tsvector_to_array(words)) AS word GROUP BY word) AS fewer
    WHERE words.word = fewer.word
)
UPDATE intelforge_index.totals SET chunks = chunks - (SELECT count(*) FROM gone),
    length = length - (SELECT coalesce(sum(gone.length), 0) FROM gone)
""")
FORGET_CHUNKS: Final = _FORGET_CHUNKS.format(SQL("id"))
FORGET_CHUNKS_OF: Final = _FORGET_CHUNKS.format(SQL("document_id"))
FORGET_VECTORS_OF: Final = """
WITH gone AS (DELETE FROM intelforge_index.vectors WHERE document_id = ANY(%s) RETURNING 1)
UPDATE intelforge_index.totals SET vectors = vectors - (SELECT count(*) FROM gone)
"""
FORGET_DOCUMENTS: Final = "DELETE FROM intelforge_index.documents WHERE id = ANY(%s)"

ADD_CHUNKS: Final = """
WITH added AS (
    INSERT INTO intelforge_index.chunks (id, document_id, length, words)
    SELECT id, document_id, length, words::tsvector
    FROM unnest(%s::text[], %s::text[], %s::integer[], %s::text[]) AS given (id, document_id, length, words)
    RETURNING length
)
UPDATE intelforge_index.totals SET chunks = chunks + (SELECT count(*) FROM added),
    length = totals.length + (SELECT coalesce(sum(added.length), 0) FROM added)
"""
COUNT_WORDS: Final = """
INSERT INTO intelforge_index.words (word, holding) SELECT * FROM unnest(%s::text[], %s::bigint[])
ON CONFLICT (word) DO UPDATE SET holding = words.holding + excluded.holding
"""
DROP_UNUSED_WORDS: Final = "DELETE FROM intelforge_index.words WHERE holding <= 0"

DIMENSIONS: Final = """
SELECT atttypmod FROM pg_attribute
WHERE attrelid = to_regclass('intelforge_index.vectors') AND attname = 'vector' AND NOT attisdropped
"""
VECTORS_TABLE: Final = SQL("""
DROP TABLE IF EXISTS intelforge_index.vectors;
CREATE TABLE intelforge_index.vectors (
    id text PRIMARY KEY, document_id text NOT NULL, vector halfvec({dimensions}) NOT NULL
);
CREATE INDEX ON intelforge_index.vectors (document_id);
UPDATE intelforge_index.totals SET vectors = 0;
""")
ADD_VECTORS: Final = """
WITH added AS (
    INSERT INTO intelforge_index.vectors (id, document_id, vector)
    SELECT id, document_id, vector::halfvec
    FROM unnest(%s::text[], %s::text[], %s::text[]) AS given (id, document_id, vector)
    ON CONFLICT (id) DO UPDATE SET vector = excluded.vector
    RETURNING (xmax = 0) AS fresh
)
UPDATE intelforge_index.totals SET vectors = vectors + (SELECT count(*) FROM added WHERE fresh)
"""
INDEX_VECTORS: Final = """
CREATE INDEX IF NOT EXISTS vectors_by_cosine ON intelforge_index.vectors USING hnsw (vector halfvec_cosine_ops)
"""

COUNT: Final = "SELECT chunks, vectors FROM intelforge_index.totals"
COUNT_VECTORS: Final = "SELECT vectors FROM intelforge_index.totals"
INVENTORY: Final = """
SELECT document_id, sum(chunks), sum(vectors) FROM (
    SELECT document_id, count(*) AS chunks, 0 AS vectors FROM intelforge_index.chunks GROUP BY document_id
    UNION ALL
    SELECT document_id, 0, count(*) FROM intelforge_index.vectors GROUP BY document_id
) AS counted GROUP BY document_id
"""
INVENTORY_OF_CHUNKS: Final = "SELECT document_id, count(*), 0 FROM intelforge_index.chunks GROUP BY document_id"
MORE_MEMORY: Final = "SELECT set_config('maintenance_work_mem', '256MB', true)"
VACUUM: Final = SQL("VACUUM (ANALYZE, SKIP_LOCKED) intelforge_index.{}")

WEIGH_WORDS: Final = """
SELECT word, times * ln(1 + (chunks - holding + 0.5) / (holding + 0.5))::float8, length::float8 / chunks
FROM unnest(%s::text[], %s::integer[]) AS asked (word, times)
JOIN intelforge_index.words USING (word) CROSS JOIN intelforge_index.totals
WHERE holding > 0 AND chunks > 0 ORDER BY 2 DESC, 1 LIMIT %s
"""
SEARCH_TEXT: Final = SQL("""
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
    FROM intelforge_index.chunks WHERE words @@ %(any)s::tsquery{admitted}
) AS scored ORDER BY 3 DESC, id LIMIT %(limit)s
""")
SEARCH_VECTOR: Final = SQL("""
SELECT id, document_id, 1 - (vector <=> %(query)s::halfvec) FROM intelforge_index.vectors
WHERE true{admitted} ORDER BY vector <=> %(query)s::halfvec LIMIT %(limit)s
""")
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
_ADMITTED: Final = SQL(" AND document_id IN (SELECT id FROM intelforge_index.documents WHERE {})")


def search(statement: SQL, where: Filter) -> tuple[Composed, dict[str, Any]]:
    """The statement with the filter in it, and the filter's parameters; none when everything passes."""
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
    admitted = _ADMITTED.format(SQL(" AND ").join(clauses)) if clauses else SQL("")
    return statement.format(admitted=admitted), groups | asked

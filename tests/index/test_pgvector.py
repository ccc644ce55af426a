from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import numpy as np
import psycopg
import pytest
from psycopg import errors

from intelforge.core.errors import BackendError, BusyError, ErrorCode, StorageError
from intelforge.core.values import Attributes, Chunk
from intelforge.index import pgvector
from intelforge.index.memory import MemoryStore
from intelforge.index.pgvector import PgvectorStore, open_store
from intelforge.index.pgvector_errors import translated
from intelforge.index.protocol import Filter, Held
from intelforge.index.store_rules import K1


def chunk(name: str, text: str) -> Chunk:
    return Chunk(id=f"{name}:0", document_id=name, ordinal=0, start=0, end=len(text), text=text)


@pytest.fixture
async def store(pgvector_url: str, tmp_path: Path) -> AsyncIterator[PgvectorStore]:
    async with open_store(pgvector_url, root=tmp_path) as opened:
        yield opened


async def test_scores_are_those_of_the_reference_after_any_writes(store: PgvectorStore) -> None:
    random, reference = Random(3), MemoryStore()
    vocabulary = [f"word{number}" for number in range(40)]

    def some(count: int) -> list[Chunk]:
        names = random.sample(range(60), count)
        return [chunk(f"d{n}", " ".join(random.choices(vocabulary, k=random.randint(0, 60)))) for n in names]

    for _ in range(6):
        added, gone = some(30), [f"d{number}" for number in random.sample(range(60), 5)]
        for each in (store, reference):
            await each.add(added)
            await each.delete(gone)
    for _ in range(10):
        query = " ".join(random.choices(vocabulary, k=4))
        found, expected = [await each.search(query, limit=60) for each in (store, reference)]
        assert {hit.chunk_id: hit.score for hit in found} == pytest.approx(
            {hit.chunk_id: hit.score for hit in expected}
        )
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


async def test_a_word_counts_as_often_as_it_stands_there(store: PgvectorStore) -> None:
    times = [1, 2, 3, 10, 40, 200, 255]
    padding = [" ".join(f"filler{number}" for number in range(255 - each)) for each in times]
    await store.add([chunk(f"t{n}", "tiger " * n + rest) for n, rest in zip(times, padding, strict=True)])
    scores = [hit.score for hit in reversed(await store.search("tiger", limit=10))]
    lowest = scores[0] * (1 + K1)
    assert [lowest / score for score in scores] == pytest.approx([(n + K1) / n for n in times], rel=1e-4)


async def test_the_approximate_index_finds_the_few_that_are_admitted(
    store: PgvectorStore, pgvector_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "ANN_FROM", 1000)
    numbers = np.random.default_rng(5)
    vectors = numbers.standard_normal((2000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"d{number}" for number in range(2000)]
    about = {
        name: Attributes(labels=frozenset({"tag:rare"} if n % 400 == 0 else {"tag:often"}))
        for n, name in enumerate(names)
    }
    await store.add_vectors([f"{name}:0" for name in names], vectors, about)
    await store.maintain()
    async with await psycopg.AsyncConnection.connect(pgvector_url) as connection:
        found = await connection.execute("SELECT to_regclass('intelforge_index.vectors_by_cosine') IS NOT NULL")
        assert await found.fetchone() == (True,)
    for label, expected in (("tag:rare", 5), ("tag:often", 10)):
        hits = await store.search(vectors[1], limit=10, where=Filter(any_of=(frozenset({label}),)))
        assert len(hits) == expected
    assert len(await store.search(vectors[1], limit=1500)) == 1500


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (errors.DiskFull("x"), ErrorCode.DISK_FULL),
        (errors.ReadOnlySqlTransaction("x"), ErrorCode.READ_ONLY),
        (errors.InvalidPassword("x"), ErrorCode.REFUSED),
        (errors.InsufficientPrivilege("x"), ErrorCode.REFUSED),
        (errors.FeatureNotSupported('extension "vector" is not available'), ErrorCode.UNSUPPORTED),
        (errors.DeadlockDetected("x"), ErrorCode.BUSY),
        (errors.AdminShutdown("x"), ErrorCode.UNREACHABLE),
        (psycopg.OperationalError('password authentication failed for user "u"'), ErrorCode.REFUSED),
        (psycopg.OperationalError('database "d" does not exist'), ErrorCode.NOT_FOUND),
        (psycopg.OperationalError("the connection is lost"), ErrorCode.UNREACHABLE),
        (errors.UndefinedTable("x"), ErrorCode.DAMAGED),
    ],
)
def test_what_the_server_says_becomes_a_code_and_a_hint(raised: Exception, code: ErrorCode) -> None:
    with pytest.raises((StorageError, BusyError)) as caught, translated("here/db"):
        raise raised
    assert caught.value.error_code is code
    assert caught.value.hint


async def test_a_server_that_does_not_answer_is_named_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"127\.0\.0\.1/x does not answer") as caught:
        async with open_store("postgresql://someone:hidden@127.0.0.1:1/x", root=tmp_path):
            pass
    assert caught.value.error_code is ErrorCode.UNREACHABLE
    assert "hidden" not in str(caught.value)


async def test_a_database_that_is_not_there_is_reported_so(pgvector_url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="create that database"):
        async with open_store(pgvector_url.replace("intelforge_test_", "missing_"), root=tmp_path):
            pass


@pytest.mark.parametrize("url", ["postgresql://user:hidden@host:port/x", "postgresql://user:hid/den@host/x"])
def test_a_url_that_cannot_be_read_is_refused_without_showing_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot be read") as caught:
        open_store(url, root=tmp_path)
    assert "hid" not in str(caught.value)


async def test_a_deleted_schema_is_reported_with_the_way_out(store: PgvectorStore, pgvector_url: str) -> None:
    await store.add([chunk("a", "words")])
    async with await psycopg.AsyncConnection.connect(pgvector_url) as connection:
        await connection.execute("DROP SCHEMA intelforge_index CASCADE")
    with pytest.raises(StorageError, match="intelforge sync") as caught:
        await store.search("words", limit=1)
    assert caught.value.error_code is ErrorCode.DAMAGED


async def test_a_server_that_keeps_one_waiting_is_given_up_and_may_be_asked_again(
    store: PgvectorStore, pgvector_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await psycopg.AsyncConnection.connect(pgvector_url) as connection:
        await connection.execute("LOCK TABLE intelforge_index.totals IN ACCESS EXCLUSIVE MODE")
        monkeypatch.setattr(pgvector, "TIMEOUT", 0.3)
        with pytest.raises(StorageError, match="did not answer") as caught:
            await store.count()
        assert caught.value.error_code is ErrorCode.TIMED_OUT
        await connection.rollback()
    monkeypatch.undo()
    assert await store.count() == Held(0, 0)


async def test_dropping_a_version_leaves_what_others_keep_in_its_schema(
    store: PgvectorStore, pgvector_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(pgvector_url) as connection:
        await connection.execute("CREATE TABLE intelforge_index.theirs (id integer)")
        await connection.commit()
        await store.add([chunk("a", "words")])
        await store.drop()
        found = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'intelforge_index'")
        assert await found.fetchall() == [("theirs",)]
    assert await store.search("words", limit=1) == []


async def test_a_dropped_version_leaves_no_schema(tmp_path: Path, pgvector_url: str) -> None:
    async with open_store(pgvector_url, root=tmp_path, version=3) as store:
        await store.add_vectors(["a:0"], np.eye(1, 8, dtype=np.float32))
        await store.drop()
    async with await psycopg.AsyncConnection.connect(pgvector_url) as connection:
        found = await connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'intelforge%'")
        assert await found.fetchall() == []


async def test_a_closed_store_says_so(pgvector_url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not open"):
        await open_store(pgvector_url, root=tmp_path).search("x", limit=1)

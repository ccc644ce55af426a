import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from intelforge.core.chat import Accounting
from intelforge.core.errors import BackendError, ErrorCode, StorageError
from intelforge.models.ledger import Ledger
from intelforge.store.calls import Calls
from intelforge.store.cost_sums import CostSums
from intelforge.store.database import Database, open_database
from intelforge.store.facts import Facts
from intelforge.store.postgres import open_backend


async def test_a_server_that_does_not_answer_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"start the database server") as raised:
        await open_database("postgresql://someone:hidden@127.0.0.1:1/x", root=tmp_path)
    assert raised.value.error_code is ErrorCode.UNREACHABLE
    assert "hidden" not in str(raised.value)


async def test_a_database_that_is_not_there_is_reported_so(tmp_path: Path, postgres_url: str) -> None:
    with pytest.raises(StorageError, match=r"does not exist.*create that database") as raised:
        await open_database(postgres_url.replace("intelforge_test_", "missing_"), root=tmp_path)
    assert raised.value.error_code is ErrorCode.NOT_FOUND


async def test_a_url_that_cannot_be_read_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot be read") as raised:
        await open_database("postgresql://user:hidden@host:port/x", root=tmp_path)
    assert "hidden" not in str(raised.value)


async def test_a_password_is_never_shown(tmp_path: Path) -> None:
    backend = open_backend("postgresql://someone:hidden@127.0.0.1:1/x", root=tmp_path)
    database = Database(backend)
    assert database.shown_url == "postgresql://someone:***@127.0.0.1:1/x"
    assert "hidden" not in repr(backend)
    assert database.jobs_url == "postgresql://someone:hidden@127.0.0.1:1/x"
    await database.close()


async def test_a_read_only_database_is_reported_so(tmp_path: Path, postgres_url: str) -> None:
    database = await open_database(postgres_url, root=tmp_path)
    async with database.write() as connection:
        await connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
    with pytest.raises(StorageError, match="make the workspace writable") as raised:
        await Facts(database).set("a", "b")
    assert raised.value.error_code is ErrorCode.READ_ONLY
    await database.close()


async def test_a_connection_the_server_ended_is_replaced(tmp_path: Path, postgres_url: str) -> None:
    database = await open_database(postgres_url, root=tmp_path)
    async with database.read() as connection:
        pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    other = await open_database(postgres_url, root=tmp_path)
    async with other.write() as connection:
        await connection.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()
    await other.close()


async def test_times_are_in_utc_wherever_the_server_is(tmp_path: Path, postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
        name = admin.info.dbname
        await admin.execute(f"ALTER DATABASE {name} SET timezone = 'Pacific/Auckland'".encode())
    database = await open_database(postgres_url, root=tmp_path)
    calls, at = Calls(database), datetime(2026, 9, 26, 23, 30, tzinfo=UTC)  # their clocks go forward within the hour
    async with Ledger(calls, clock=lambda: at).call("openai:m", accounting=Accounting(), reserve_usd=1.0) as usage:
        usage.cost_usd = 0.25
    await calls.close()
    first = await CostSums(database).first({})
    assert first == at
    assert first.utcoffset() == timedelta(0)
    assert [row["at"].tzinfo for row in await calls.all()] == [UTC]
    await database.close()


async def test_a_settlement_whose_connection_the_server_ends_is_written_by_the_next(
    tmp_path: Path, postgres_url: str
) -> None:
    database = await open_database(postgres_url, root=tmp_path)
    calls = Calls(database)
    ledger = Ledger(calls)
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        async with ledger.call("openai:m", accounting=Accounting(), reserve_usd=1.0) as usage:
            await other.execute("SELECT id FROM model_calls FOR UPDATE")
            usage.input_tokens, usage.cost_usd = 10, 0.25
        writing = asyncio.create_task(calls.flush())
        await _end_whoever_waits(postgres_url)
        await writing
        await other.rollback()
    await calls.close()
    assert [(row["state"], row["charged_usd"]) for row in await calls.all()] == [("settled", 0.25)]
    await database.close()


async def _end_whoever_waits(url: str) -> None:
    """Ends the connection of the first that waits for a lock."""
    ended = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin, asyncio.timeout(20):
        while not await (await admin.execute(ended)).fetchall():
            pass

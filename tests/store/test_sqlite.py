import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from intelforge.core.errors import BackendError, ErrorCode, StorageError
from intelforge.store.database import Database, open_database
from intelforge.store.facts import Facts

URL = "sqlite:///state/test.db"


async def opened(tmp_path: Path) -> Database:
    return await open_database(URL, root=tmp_path)


async def test_every_connection_has_a_write_ahead_log_and_syncs_fully(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    async with database.read() as first, database.read() as second, database.write() as third:
        for connection in (first, second, third):
            values = [
                (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
            assert values == ["wal", 2, 1]
    await database.close()


async def test_the_file_is_below_the_workspace_and_jobs_are_kept_beside_it(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    assert (tmp_path / "state/test.db").is_file()
    assert database.jobs_url == f"sqlite:///{tmp_path}/state/test-jobs.db"
    await database.close()


async def test_a_reader_sees_one_state_while_others_write(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    facts = Facts(database)
    await facts.set("a", "old")
    async with database.read() as connection:
        query = text("SELECT value FROM facts WHERE name = 'a'")
        assert (await connection.execute(query)).scalar_one() == "old"
        await facts.set("a", "new")
        assert (await connection.execute(query)).scalar_one() == "old"
    assert await facts.get("a") == "new"
    await database.close()


async def test_many_tasks_may_write_at_once(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    facts = Facts(database)
    await asyncio.gather(*(facts.set(f"n{n}", str(n)) for n in range(50)))
    assert [await facts.get(f"n{n}") for n in range(50)] == [str(n) for n in range(50)]
    await database.close()


async def test_a_write_waits_for_another_process(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    other = sqlite3.connect(tmp_path / "state/test.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(Facts(database).set("a", "mine"))
    other.execute("INSERT INTO facts VALUES ('b', 'theirs')")
    done, _ = await asyncio.wait([writing], timeout=0.2)
    assert not done
    other.execute("COMMIT")
    other.close()
    await writing
    assert await Facts(database).get("b") == "theirs"
    await database.close()


async def test_a_full_database_is_reported_as_a_full_disk_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    facts = Facts(database)
    async with database.read() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
    async with database._backend.engine.connect() as connection:
        await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StorageError, match=r"disk is full.*free some space") as raised:
        await facts.set("big", "x" * 1_000_000)
    assert raised.value.error_code is ErrorCode.DISK_FULL
    async with database._backend.engine.connect() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1000000"))
    await facts.set("big", "x" * 1_000_000)
    assert len(await facts.get("big") or "") == 1_000_000
    await database.close()


@pytest.mark.parametrize("damage", [b"this is not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
async def test_a_damaged_file_is_reported_with_its_name_and_left_as_it_is(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "state/test.db"
    file.parent.mkdir()
    file.write_bytes(damage)
    with pytest.raises(StorageError, match=r"test\.db.*backup") as raised:
        await opened(tmp_path)
    assert raised.value.error_code is ErrorCode.DAMAGED
    assert file.read_bytes() == damage


async def test_a_place_that_cannot_hold_a_file_is_reported_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match=r"state") as raised:
        await opened(tmp_path)
    assert raised.value.error_code is ErrorCode.READ_ONLY


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
async def test_a_database_without_a_file_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(BackendError, match="names no file"):
        await open_database(url, root=tmp_path)

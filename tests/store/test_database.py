import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from intelforge.core.errors import ErrorCode, IntelForgeError, StorageError
from intelforge.store.calls import Calls
from intelforge.store.database import Database, open_database
from intelforge.store.facts import Facts
from intelforge.store.index_versions import IndexVersions
from intelforge.store.migrations import HEAD, KNOWN
from intelforge.store.migrations.run import configuration, upgrade
from intelforge.store.sources import Sources
from intelforge.store.tables import Table

OPEN = """
import asyncio, sys
from pathlib import Path
from intelforge.store.calls import Calls
from intelforge.store.database import open_database

async def main():
    sys.stdin.readline()
    database = await open_database(sys.argv[1], root=Path(sys.argv[2]))
    await database.close()

print("ready", flush=True)
asyncio.run(main())
"""


BEFORE_VERSIONS = text(
    "INSERT INTO documents (id, media_type, title, language, details, chunk_count, indexed, embedder, revision, "
    "described, embedded_chunks, created_at, text) VALUES (:id, 'text/plain', '', '', '{}', 4, :indexed, "
    "'model@1', 0, 2, :embedded, '2026-01-01 00:00:00+00:00', 'text')"
)


BEFORE_BUDGETS = text(
    "INSERT INTO model_calls (id, model, purpose, state, reserved_usd, cost_usd, input_tokens, output_tokens, seconds, "
    "error, at) VALUES (:id, 'openai:m', :purpose, :state, 0.01, :cost, 0, 0, 0, '', '2026-01-01 00:30:00+00:00')"
)


BEFORE_LOCAL_MODELS = text(
    "INSERT INTO sources (id, kind, uri, options, access, created_at, error) VALUES ('s1', 'folder', '/data', '{}', "
    "'[\"*\"]', '2026-01-01 00:00:00+00:00', '')"
)


async def test_an_empty_database_is_brought_to_the_models(database: Database) -> None:
    async with database.read() as connection:
        await connection.run_sync(lambda sync: command.check(configuration(sync)))
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert set(names) == {*Table.metadata.tables, "alembic_version"}


async def test_opening_again_changes_nothing(database: Database, database_url: str, tmp_path: Path) -> None:
    await Facts(database).set("kept", "yes")
    again = await open_database(database_url, root=tmp_path)
    assert await Facts(again).get("kept") == "yes"
    await again.close()


async def test_the_known_revisions_are_those_of_the_migration_scripts(database: Database) -> None:
    async with database.read() as connection:
        script = await connection.run_sync(lambda sync: ScriptDirectory.from_config(configuration(sync)))
    assert script.get_current_head() == HEAD
    assert tuple(reversed([revision.revision for revision in script.walk_revisions()])) == KNOWN


async def test_migrations_go_back_to_nothing_and_forth_again(database: Database) -> None:
    async with database._writer.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(configuration(sync), "base"))
        assert await connection.run_sync(lambda sync: inspect(sync).get_table_names()) == ["alembic_version"]
    async with database._writer.begin() as connection:
        await connection.run_sync(upgrade)
        await connection.run_sync(lambda sync: command.check(configuration(sync)))


async def test_what_was_indexed_before_there_were_versions_is_the_first_of_them(database: Database) -> None:
    async with database._writer.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(configuration(sync), "0001"))
        for name, indexed, embedded in (("whole", True, 4), ("words", True, 0), ("new", False, 0)):
            await connection.execute(BEFORE_VERSIONS, {"id": name, "indexed": indexed, "embedded": embedded})
    async with database._writer.begin() as connection:
        await connection.run_sync(upgrade)
    versions = IndexVersions(database)
    first = await versions.first(url="lancedb:here", embedder="onnx:one")
    assert (first.number, first.url, first.embedder, first.model) == (1, "lancedb:here", "onnx:one", "model@1")
    assert await versions.first(url="lancedb:there", embedder="onnx:other") == first
    async with database.read() as connection:
        rows = (await connection.execute(text("SELECT * FROM index_standings ORDER BY document_id"))).all()
    assert [tuple(row) for row in rows] == [(1, "whole", 2, 4), (1, "words", 2, 0)]


async def test_calls_that_were_counted_in_dollars_are_counted_in_nano_dollars(database: Database) -> None:
    async with database._writer.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(configuration(sync), "0002"))
        for number, (purpose, state, cost) in enumerate(
            (("answer", "settled", 0.0025), ("embed", "settled", None), ("rerank", "reserved", None))
        ):
            row = {"id": f"c{number}", "purpose": purpose, "state": state, "cost": cost}
            await connection.execute(BEFORE_BUDGETS, row)
    async with database._writer.begin() as connection:
        await connection.run_sync(upgrade)
    rows = [
        (row["kind"], row["provider"], row["state"], row["reserved_nano"], row["cost_nano"], row["charged_nano"])
        for row in await Calls(database).all()
    ]
    assert rows == [
        ("chat", "openai", "settled", 10_000_000, 2_500_000, 2_500_000),
        ("embedding", "openai", "settled", 10_000_000, None, 10_000_000),
        ("reranking", "openai", "crashed", 10_000_000, None, 10_000_000),
    ]
    assert {row["hour"] for row in await Calls(database).all()} == {490_896}
    async with database._writer.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(configuration(sync), "0002"))
        costs = await connection.execute(text("SELECT cost_usd, reserved_usd FROM model_calls ORDER BY id"))
        assert [tuple(row) for row in costs] == [(0.0025, 0.01), (None, 0.01), (None, 0.01)]
        await connection.run_sync(upgrade)


async def test_sources_of_an_older_workspace_may_go_to_any_model(database: Database) -> None:
    async with database._writer.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(configuration(sync), "0005"))
        await connection.execute(BEFORE_LOCAL_MODELS)
    async with database._writer.begin() as connection:
        await connection.run_sync(upgrade)
    assert [source.local_models_only for source in await Sources(database).all()] == [False]


async def test_a_workspace_of_a_newer_version_is_refused_with_the_way_out(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="newer version of IntelForge") as raised:
        await open_database(database_url, root=tmp_path)
    assert raised.value.error_code is ErrorCode.NEWER_WORKSPACE
    assert "upgrade" in raised.value.hint


def test_two_processes_may_open_a_new_database_at_once(database_url: str, tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, database_url, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


async def test_a_write_that_raises_is_undone(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO facts VALUES ('lost', 'x')"))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await fail()
    assert await Facts(database).get("lost") is None


async def test_an_unknown_kind_of_database_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(IntelForgeError, match="postgresql, sqlite"):
        await open_database("oracle://x", root=tmp_path)

import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import lancedb
import pytest
from crash_audit import Findings, acknowledged, audit
from crash_folder import SUFFIXES, CrashFolder, text_of

from intelforge.workspace import Workspace

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "crash.py"
INDEX = ".intelforge/index"
DATABASE = ".intelforge/intelforge.db"


@pytest.mark.slow
def test_five_kills_lose_double_and_disagree_in_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "5", "--files", "20", "--json"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures.pop("seconds") > 0
    assert figures == {"kills": 5, "lost": 0, "doubled": 0, "disagreeing": 0, "orphans": 0, "failed": 0}


@pytest.fixture
async def folder(tmp_path: Path) -> CrashFolder:
    """A workspace in step with a folder of a few files."""
    made = CrashFolder(path=tmp_path / "files", random=random.Random(1))
    made.fill(6)
    made.mutate()
    Workspace.init(tmp_path)
    (tmp_path / "intelforge.toml").write_text('jobs = "memory:"\nembedder = "none:"\nworkers = 1\n')
    async with Workspace.open(tmp_path) as workspace:
        await workspace.add(made.path)
        await workspace.sync()
    return made


async def audited(folder: CrashFolder, damage: str | None = None) -> dict[str, int]:
    root = folder.path.parent
    promised = acknowledged(root / DATABASE)
    if damage:
        with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
            assert connection.execute(damage).rowcount
    found = Findings()
    await audit(root, folder.words, sorted(folder.past), promised, found)
    return {name: number for name, number in found.figures().items() if number}


async def test_a_sound_workspace_has_no_findings(folder: CrashFolder) -> None:
    assert await audited(folder) == {}


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("DELETE FROM versions WHERE item_id = 1", "lost"),
        ("UPDATE items SET state = 'failed' WHERE id = 1", "lost"),
        ("INSERT INTO versions SELECT item_id, number + 1, document_id, created_at FROM versions LIMIT 1", "doubled"),
        (
            "DELETE FROM index_standings WHERE document_id = (SELECT min(document_id) FROM index_standings)",
            "disagreeing",
        ),
        ("UPDATE index_standings SET embedded_chunks = 1 WHERE version = 1", "disagreeing"),
        ("UPDATE chunks SET start_char = start_char + 25 WHERE rowid = 1", "disagreeing"),
        ("UPDATE items SET uri = 'other.txt' WHERE id = 1", "disagreeing"),
    ],
)
async def test_what_is_wrong_in_the_database_is_found(folder: CrashFolder, damage: str, finding: str) -> None:
    assert finding in await audited(folder, damage)


async def test_a_chunk_twice_in_the_index_is_found(folder: CrashFolder) -> None:
    index = await lancedb.connect_async(folder.path.parent / INDEX)
    table = await index.open_table("chunks")
    rows = (await table.query().to_arrow()).slice(0, 1)
    await table.add(rows)
    assert await audited(folder) == {"doubled": 1}


async def test_a_chunk_missing_in_the_index_is_found(folder: CrashFolder) -> None:
    index = await lancedb.connect_async(folder.path.parent / INDEX)
    table = await index.open_table("chunks")
    [key] = (await table.query().to_arrow()).slice(0, 1)["id"].to_pylist()
    await table.delete(f"id = '{key}'")
    found = await audited(folder)
    assert found["disagreeing"] == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_says_its_word(suffix: str) -> None:
    assert "qwerty" in text_of(suffix, "qwerty", paragraphs=2)

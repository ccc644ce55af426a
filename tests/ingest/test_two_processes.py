"""Two real processes on one workspace: no work is done twice, and a dead one's is taken up."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from intelforge.workspace import Workspace

FILES = 24
DEADLINE = 30.0
"""seconds within which a dead process's work is taken up by another"""

SYNC = """
import asyncio, sys
from intelforge.refine.pool import Refinery
from intelforge.workspace import Workspace

root, log, blocked = sys.argv[1:]
refine_many = Refinery.refine_many

async def noted(self, items):
    with open(log, "a") as file:
        file.writelines(item.uri + "\\n" for item in items)
    if blocked == "blocked":
        print("blocked", flush=True)
        await asyncio.Event().wait()
    return await refine_many(self, items)

Refinery.refine_many = noted

def report(progress):
    if progress.detail.startswith("another process"):
        print("waiting", flush=True)

async def main():
    async with Workspace.open(root) as workspace:
        done = await workspace.sync(report=report)
        assert done.complete, done
    print("done", flush=True)

asyncio.run(main())
"""

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
async def root(tmp_path: Path, database_url: str) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.txt").write_text(f"about number{number}")
    made = Workspace.init(tmp_path / "workspace")
    lines = (f'database = "{database_url}"', 'embedder = "none:"', "workers = 1", "batch_items = 4")
    (made / "intelforge.toml").write_text("\n".join(lines))
    async with Workspace.open(made) as workspace:
        await workspace.add(folder)
    return made


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "refined.log"


@pytest.fixture
def start(root: Path, log: Path) -> Iterator[Start]:
    """Starts a process that syncs; it blocks at its first text when asked to."""
    with ExitStack() as stack:

        def started(blocked: str = "") -> "subprocess.Popen[str]":
            command = [sys.executable, "-c", SYNC, str(root), str(log), blocked]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            return process

        yield started


def said(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if line.strip() == word:
            return
    pytest.fail(f"the process ended before it said {word!r}")


async def check(root: Path) -> None:
    """Everything is there, once."""
    async with Workspace.open(root) as workspace:
        status = await workspace.status()
        assert (status.items, status.documents, status.running) == ({"ready": FILES}, FILES, ())
        for number in (0, FILES - 1):
            assert len((await workspace.search(f"number{number}")).hits) == 1
        held = await (await workspace._parts.versions.live()).store.inventory()
        assert len(held) == FILES
        assert all(one.chunks == 1 for one in held.values())


@pytest.mark.slow
async def test_two_syncs_at_once_do_the_work_once(start: Start, root: Path, log: Path) -> None:
    processes = [start(""), start("")]
    for process in processes:
        said(process, "done")
        assert process.wait() == 0
    assert sorted(log.read_text().split()) == sorted(f"{number}.txt" for number in range(FILES))
    await check(root)


@pytest.mark.slow
async def test_a_killed_processes_work_is_taken_up_by_the_other(start: Start, root: Path, log: Path) -> None:
    first = start("blocked")
    said(first, "blocked")
    second = start("")
    said(second, "waiting")
    async with Workspace.open(root) as workspace:
        assert any("syncing" in line for line in (await workspace.status()).running)
    first.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    said(second, "done")
    assert second.wait() == 0
    assert time.monotonic() - killed < DEADLINE
    await check(root)


@pytest.mark.slow
async def test_a_sync_right_after_a_kill_does_not_wait_for_the_lease(start: Start, root: Path) -> None:
    first = start("blocked")
    said(first, "blocked")
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start("")
    said(second, "done")
    assert second.wait() == 0
    await check(root)

"""The public API, on real files, workers, index and database; search is by words alone unless a test says otherwise."""

import asyncio
import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from intelforge import Workspace, search_models
from intelforge.core.errors import (
    ConfigError,
    ErrorCode,
    InvalidInputError,
    ModelError,
    NotFoundError,
    StorageError,
)
from intelforge.core.registry import load_backend
from intelforge.core.reports import Progress, Stage
from intelforge.core.search import SearchRequest
from intelforge.core.values import EVERYONE

GUIDE = "# Timeouts\n\nA timeout cancels the task. Then wait_for waits until the task is really cancelled.\n"
RECIPE = "# Soup\n\nBoil the carrots in salted water for twenty minutes.\n"
LEAN = 'embedder = "none:"\nllm = "none:"\njobs = "memory:"\nworkers = 1\n'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "guide.md").write_text(GUIDE)
    (folder / "recipe.md").write_text(RECIPE)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace that starts quickly: jobs in memory, no models."""
    folder = Workspace.init(tmp_path / "workspace")
    (folder / "intelforge.toml").write_text(LEAN)
    return folder


async def filled(root: Path, *locations: Path) -> None:
    async with Workspace.open(root) as workspace:
        await workspace.add(*locations)
        assert (await workspace.sync()).complete


async def test_the_main_job_end_to_end(tmp_path: Path, files: Path) -> None:
    root = Workspace.init(tmp_path / "workspace")
    told: list[Progress] = []
    async with Workspace.open(root, embedder="none:", llm="none:", workers=1) as workspace:
        [source] = await workspace.add(files)
        report = await workspace.sync(report=told.append)
        assert (report.added, report.complete, report.errors) == (2, True, ())
        assert told[-1].stage is Stage.DONE
        answer = await workspace.ask("What does a timeout do to the task?")
        assert answer.found
        assert "timeout cancels the task" in answer.text
        for citation in (citation for sentence in answer.sentences for citation in sentence.citations):
            shown = await workspace.show(citation.document_id)
            assert shown.document.text[citation.start : citation.end] == citation.quote
            assert citation.location == str(files / "guide.md")
        status = await workspace.status()
        assert (status.documents, status.items, status.embedder) == (2, {"ready": 2}, "none:")
        assert [one.source.id for one in status.sources] == [source.id]


async def test_it_asks_nothing_of_an_empty_workspace(root: Path) -> None:
    async with Workspace.open(root) as workspace:
        answer = await workspace.ask("What is it?")
        assert not answer.found
        assert any("intelforge sync" in note for note in answer.notes)
        assert (await workspace.search("anything")).hits == ()
        assert (await workspace.sync()).complete


async def test_a_search_finds_places_lines_and_duplicates(root: Path, files: Path) -> None:
    (files / "copy.md").write_text(GUIDE)
    await filled(root, files)
    async with Workspace.open(root) as workspace:
        [hit] = (await workspace.search("carrots")).hits
        assert (hit.location, hit.title) == (str(files / "recipe.md"), "Soup")
        assert GUIDE.splitlines()[2] not in hit.chunk.text
        [hit] = (await workspace.search("wait_for")).hits
        assert {hit.location, *hit.duplicates} == {str(files / "guide.md"), str(files / "copy.md")}
        assert (hit.first_line, hit.last_line) == (1, 3)
        assert len((await workspace.search(SearchRequest(query="timeout carrots", limit=1))).hits) == 1


@pytest.mark.parametrize(("query", "limit"), [("  ", 10), ("x", 0)])
async def test_a_search_that_makes_no_sense_is_refused(root: Path, query: str, limit: int) -> None:
    async with Workspace.open(root) as workspace:
        with pytest.raises(InvalidInputError):
            await workspace.search(SearchRequest(query=query, limit=limit))


async def test_a_removed_source_leaves_the_answers_at_once(root: Path, files: Path) -> None:
    await filled(root, files)
    async with Workspace.open(root) as workspace:
        await workspace.remove(str(files))
        assert (await workspace.search("timeout")).hits == ()
        assert not (await workspace.ask("What does a timeout do to the task?")).found
        await workspace.sync()
        assert (await workspace.status()).documents == 0


async def test_a_document_is_shown_by_path_id_or_beginning_of_its_id_with_its_versions(root: Path, files: Path) -> None:
    await filled(root, files)
    async with Workspace.open(root) as workspace:
        old = (await workspace.show(str(files / "guide.md"))).document
        (files / "guide.md").write_text(GUIDE + "\nIt was changed.\n")
        await workspace.sync()
        shown = await workspace.show("guide.md")
        assert shown.versions == (old.id, shown.document.id)
        assert shown.locations == (str(files / "guide.md"),)
        superseded = await workspace.show(old.id[:8], span=(2, 10))
        assert (superseded.document, superseded.locations, superseded.span) == (old, (), (2, 10))
        with pytest.raises(NotFoundError, match="no document 'missing'"):
            await workspace.show("missing")
        with pytest.raises(InvalidInputError, match="the span 5:9999"):
            await workspace.show(old.id, span=(5, 9999))


async def test_a_document_of_an_unprintable_name_is_shown_by_its_path(root: Path, files: Path) -> None:
    names = [b"tab\there.txt", b"latin-\xe9.txt"]
    for number, name in enumerate(names):
        Path(os.fsdecode(bytes(files) + b"/" + name)).write_text(f"about number{number}")
    await filled(root, files)
    async with Workspace.open(root) as workspace:
        for number, name in enumerate(names):
            shown = await workspace.show(os.fsdecode(bytes(files) + b"/" + name))
            assert shown.document.text == f"about number{number}"
            [hit] = (await workspace.search(SearchRequest(query=f"number{number}", limit=1))).hits
            assert (await workspace.show(hit.location)).document.id == shown.document.id


async def test_what_is_for_some_is_for_no_one_else(root: Path, files: Path) -> None:
    (files / "private").mkdir()
    (files / "private" / "secret.md").write_text("# Secret\n\nThe treasure lies below the oak.\n")
    async with Workspace.open(root, ignore=("private/",)) as workspace:
        await workspace.add(files)
        await workspace.add(files / "private", access=("ann",))
        await workspace.sync()
        for principals in ((EVERYONE,), ("bob",)):
            assert (await workspace.search("treasure", principals=principals)).hits == ()
            assert not (await workspace.ask("Where does the treasure lie?", principals=principals)).found
            with pytest.raises(NotFoundError):
                await workspace.show(str(files / "private" / "secret.md"), principals=principals)
        [hit] = (await workspace.search("treasure", principals=("ann",))).hits
        assert (await workspace.show(hit.chunk.document_id, principals=("ann",))).document.title == "Secret"
        assert len((await workspace.search("carrots", principals=("bob",))).hits) == 1


async def test_one_source_may_be_asked_alone(root: Path, files: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("# Other\n\nCarrots are also orange.\n")
    await filled(root, files, other)
    async with Workspace.open(root) as workspace:
        assert {hit.location for hit in (await workspace.search("carrots")).hits} == {
            str(files / "recipe.md"),
            str(other),
        }
        there = await workspace.search(SearchRequest(query="carrots", source=str(other)))
        assert {hit.location for hit in there.hits} == {str(other)}
        with pytest.raises(NotFoundError, match="there is no source 'x'"):
            await workspace.search(SearchRequest(query="carrots", source="x"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("carrots", {"a.md", "b.py", "deep/c.txt"}),
        ("carrots lang:python", {"b.py"}),
        ("carrots -lang:python", {"a.md", "deep/c.txt"}),
        ("carrots type:text/markdown", {"a.md"}),
        ("carrots path:deep/**", {"deep/c.txt"}),
        ("carrots -path:*.md", {"b.py", "deep/c.txt"}),
        ("carrots path:*.py path:*.txt", {"b.py", "deep/c.txt"}),
        ("carrots -soup", {"b.py", "deep/c.txt"}),
        ('carrots -"grow carrots"', {"a.md", "deep/c.txt"}),
        ("carrots kind:folder", {"a.md", "b.py", "deep/c.txt"}),
        ("carrots kind:git", set()),
        ("carrots since:1h", {"b.py", "deep/c.txt"}),
        ("carrots until:2020-01-01", {"a.md"}),
        ("carrots quality:0.5", {"a.md", "b.py", "deep/c.txt"}),
        ("carrots path:nowhere/*", set()),
    ],
)
async def test_a_query_may_say_where_to_look(root: Path, tmp_path: Path, query: str, expected: set[str]) -> None:
    (tmp_path / "many/deep").mkdir(parents=True)
    (tmp_path / "many/a.md").write_text("# Kitchen\n\nA soup of carrots.\n")
    (tmp_path / "many/b.py").write_text('def grow():\n    """Plant and grow carrots."""\n')
    (tmp_path / "many/deep/c.txt").write_text("Rabbits like carrots.\n")
    os.utime(tmp_path / "many/a.md", (1e9, 1e9))
    async with Workspace.open(root) as workspace:
        await workspace.add(tmp_path / "many")
        await workspace.sync(embed=False)
        assert {hit.uri for hit in (await workspace.search(query)).hits} == expected


async def test_a_source_is_named_in_a_query_as_elsewhere(root: Path, files: Path, tmp_path: Path) -> None:
    await filled(root, files)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/more.md").write_text("More about carrots.\n")
    async with Workspace.open(root) as workspace:
        [other] = await workspace.add(tmp_path / "other")
        await workspace.sync(embed=False)
        assert {hit.source_id for hit in (await workspace.search(f"carrots source:{other.id[:8]}")).hits} == {other.id}
        left = (await workspace.search(f'carrots -source:"{other.uri}"')).hits
        assert left
        assert other.id not in {hit.source_id for hit in left}
        with pytest.raises(NotFoundError, match="no source 'moon'"):
            await workspace.search("carrots source:moon")


async def test_one_bad_file_among_many_is_named_and_the_rest_goes_on(root: Path, files: Path) -> None:
    (files / "broken.pdf").write_bytes(b"%PDF-1.7 but no more")
    (files / "empty.txt").write_bytes(b"")
    (files / "data.bin").write_bytes(bytes(range(256)) * 10)
    async with Workspace.open(root) as workspace:
        await workspace.add(files)
        report = await workspace.sync()
        assert (report.failed, report.complete) == (1, True)
        [failure] = (await workspace.status()).failures
        assert (failure.uri, failure.code) == ("broken.pdf", "damaged")
        skipped = {one.uri for one in (await workspace.status(skipped=True)).failures}
        assert skipped == {"broken.pdf", "empty.txt", "data.bin"}


async def test_a_folder_that_is_gone_is_an_error_and_its_documents_stay(root: Path, files: Path) -> None:
    await filled(root, files)
    files.rename(files.with_name("moved"))
    async with Workspace.open(root) as workspace:
        report = await workspace.sync()
        assert not report.complete
        [error] = report.errors
        assert str(files) in error
        assert len((await workspace.search("carrots")).hits) == 1
        assert (await workspace.status()).sources[0].error


async def test_nothing_is_added_when_one_location_is_not_there(root: Path, files: Path) -> None:
    async with Workspace.open(root) as workspace:
        with pytest.raises(NotFoundError, match="nowhere"):
            await workspace.add(files, files / "nowhere")
        assert await workspace.sources() == []


async def test_watching_syncs_when_a_file_changes_and_ends_when_stopped(root: Path, files: Path) -> None:
    async def change() -> None:
        """Again and again: the watcher begins in its own time."""
        for number in range(200):
            (files / "new.md").write_text(f"# New\n\nSomething quite fresh {number}.\n")
            await asyncio.sleep(0.1)

    async with Workspace.open(root) as workspace:
        await workspace.add(files)
        reports = workspace.watch()
        assert (await anext(reports)).added == 2
        changing = asyncio.create_task(change())
        async with asyncio.timeout(30):
            report = await anext(reports)
        changing.cancel()
        assert (report.added, report.unchanged) == (1, 2)
        assert len((await workspace.search("fresh")).hits) == 1
        workspace.stop()
        assert [one async for one in reports] == []


def test_no_workspace_is_reported_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="intelforge init") as raised:
        Workspace.open(tmp_path / "nothing")
    assert str(tmp_path / "nothing") in str(raised.value)


def test_making_a_workspace_twice_keeps_its_settings(root: Path) -> None:
    Workspace.init(root)
    assert (root / "intelforge.toml").read_text() == LEAN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workers = 'many'", "workers"),
        ("no_such_setting = 1", "no_such_setting"),
        ("workers = ", "not valid TOML"),
    ],
)
def test_a_corrupt_setting_is_named_with_its_file_and_the_fix(root: Path, text: str, expected: str) -> None:
    (root / "intelforge.toml").write_text(text)
    with pytest.raises(ConfigError, match=expected) as raised:
        Workspace.open(root)
    assert str(root / "intelforge.toml") in str(raised.value)
    assert raised.value.hint


async def test_a_workspace_of_a_newer_version_is_refused(root: Path, files: Path) -> None:
    await filled(root, files)
    with closing(sqlite3.connect(root / ".intelforge/intelforge.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="upgrade") as raised:
        async with Workspace.open(root):
            pytest.fail("it was opened")
    assert raised.value.error_code is ErrorCode.NEWER_WORKSPACE


async def test_a_damaged_database_is_reported_and_left_as_it_is(root: Path) -> None:
    (root / ".intelforge/intelforge.db").write_bytes(b"scrambled" * 1000)
    with pytest.raises(StorageError, match=r"intelforge\.db.*backup") as raised:
        async with Workspace.open(root):
            pytest.fail("it was opened")
    assert raised.value.error_code is ErrorCode.DAMAGED
    assert (root / ".intelforge/intelforge.db").read_bytes() == b"scrambled" * 1000


async def test_an_index_that_is_gone_is_rebuilt_by_the_next_sync_without_reading_files(root: Path, files: Path) -> None:
    await filled(root, files)
    shutil.rmtree(root / ".intelforge/index")
    async with Workspace.open(root) as workspace:
        with pytest.raises(StorageError, match=r"the index is empty .* run: intelforge sync"):
            await workspace.search("carrots")
        report = await workspace.sync()
        assert report.unchanged == 2
        assert len((await workspace.search("carrots")).hits) == 1
        assert all(check.ok for check in await workspace.doctor() if check.name == "index")


async def test_a_damaged_index_is_reported_with_the_way_to_rebuild_it(root: Path, files: Path) -> None:
    await filled(root, files)
    for file in (root / ".intelforge/index").rglob("*"):
        if file.is_file():
            file.write_bytes(b"scrambled")
    async with Workspace.open(root) as workspace:
        with pytest.raises(StorageError, match=r"delete that folder and run: intelforge sync") as raised:
            await workspace.sync()
        assert raised.value.error_code is ErrorCode.DAMAGED
    shutil.rmtree(root / ".intelforge/index")
    async with Workspace.open(root) as workspace:
        await workspace.sync()
        assert len((await workspace.search("carrots")).hits) == 1


async def test_a_missing_model_leaves_search_by_words_and_says_so(
    root: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(kind: str, url: str) -> Callable[..., Any]:
        if kind == "embedders":
            raise ModelError("its weights are not here", hint="pull them", code=ErrorCode.MISSING_MODEL)
        return load_backend(kind, url)

    monkeypatch.setattr(search_models, "load_backend", load)
    async with Workspace.open(root, embedder="onnx:all-MiniLM-L6-v2") as workspace:
        await workspace.add(files)
        report = await workspace.sync()
        assert (report.complete, report.chunks_embedded) == (True, 0)
        assert len((await workspace.search("carrots")).hits) == 1
        status = await workspace.status()
        assert (status.embedder, status.embedded) == ("none:", 0)
        assert status.notes == ("search is by words only: its weights are not here; pull them",)
        [check] = [check for check in await workspace.doctor() if check.name == "embedding model"]
        assert (check.ok, check.required, check.fix) == (False, False, "pull them")


async def test_doctor_finds_nothing_wrong_with_a_sound_workspace(root: Path, files: Path) -> None:
    await filled(root, files)
    async with Workspace.open(root) as workspace:
        checks = {check.name: check for check in await workspace.doctor()}
    assert [name for name, check in checks.items() if check.required and not check.ok] == []
    assert "2 documents" in checks["database"].detail
    assert checks["sources"].ok


async def test_doctor_finds_what_is_wrong_and_says_the_fix(root: Path, files: Path) -> None:
    await filled(root, files)
    shutil.rmtree(root / ".intelforge/index")
    files.rename(files.with_name("moved"))
    async with Workspace.open(root) as workspace:
        wrong = {check.name: check for check in await workspace.doctor() if not check.ok}
    assert wrong["index"].fix == "run: intelforge sync"
    assert str(files) in wrong["sources"].detail


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount program")
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)


def fill(path: Path, *, leaving: int) -> Path:
    """Uses the disk up but for so many bytes."""
    ballast = path / "ballast"
    free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
    with ballast.open("wb") as file:
        file.write(b"x" * max(0, free - leaving))
    return ballast


@pytest.mark.slow
@pytest.mark.parametrize("leaving", [0, 60_000, 150_000, 300_000])
async def test_a_full_disk_ends_the_sync_in_one_line_and_the_next_one_completes(
    disk: Disk, tmp_path: Path, leaving: int
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(40):
        (many / f"{number}.txt").write_text(f"number{number} " + os.urandom(8000).hex())
    root = Workspace.init(disk.path / "workspace")
    async with Workspace.open(root, embedder="none:", workers=1) as workspace:
        await workspace.add(many)
        ballast = fill(disk.path, leaving=leaving)
        with pytest.raises(StorageError, match=r"full.*free") as raised:
            await workspace.sync()
        assert raised.value.error_code is ErrorCode.DISK_FULL
        assert "\n" not in str(raised.value)
        ballast.unlink()
    async with Workspace.open(root, embedder="none:", workers=1) as workspace:
        report = await workspace.sync()
        assert (report.complete, report.failed) == (True, 0)
        assert len((await workspace.search("number7")).hits) == 1


async def test_a_read_only_workspace_is_reported_in_one_line(disk: Disk, files: Path) -> None:
    root = Workspace.init(disk.path / "workspace")
    (root / "intelforge.toml").write_text(LEAN)
    await filled(root, files)
    disk.remount("ro")
    try:
        with pytest.raises(StorageError, match="make the workspace writable") as raised:
            async with Workspace.open(root) as workspace:
                await workspace.sync()
        assert raised.value.error_code is ErrorCode.READ_ONLY
        with pytest.raises(StorageError, match=os.strerror(errno.EROFS)):
            Workspace.init(disk.path / "another")
    finally:
        disk.remount("rw")
    async with Workspace.open(root) as workspace:
        assert (await workspace.sync()).complete

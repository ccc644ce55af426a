"""The demonstration over a fake workspace: what it asks, when it stops, what it says."""

import asyncio
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from intelforge.core.errors import ErrorCode, IntelForgeError, ModelError, StorageError
from intelforge.core.reports import SyncReport
from intelforge.interfaces.cli.demonstration import LEFT_OUT, QUESTIONS
from intelforge.interfaces.cli.schema import DemoOutput, plain
from intelforge.testing.terminal import Terminal
from intelforge.testing.workspace import FakeWorkspace

LIBRARY = sysconfig.get_paths()["stdlib"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "demo-workspace"


def test_it_indexes_readmes_and_the_library_then_asks_and_checks(terminal: Terminal, folder: Path) -> None:
    assert terminal.run("demo") == 0
    calls = terminal.workspace.calls
    assert ("add", (str(folder / "readmes"), LIBRARY), None) in calls
    assert [call[1] for call in calls if call[0] == "ask"] == list(QUESTIONS)
    assert [call for call in calls if call[0] == "show"] == [("show", "d0c", (9, 36))] * 3
    assert all(f"\n{question}\n" in terminal.out for question in QUESTIONS)
    assert "Citations           3 of 3 resolve to the character" in terminal.out
    assert terminal.out.endswith('Go on asking: intelforge -w demo-workspace ask "…"\n')
    assert "goes on with" not in terminal.out


def test_library_is_taken_without_tests_and_installed_packages_and_it_says_so(terminal: Terminal, folder: Path) -> None:
    terminal.run("demo")
    (written,) = terminal.written
    assert written == (folder, "ignore", f"*.pyc, {', '.join(LEFT_OUT)}")
    assert {"site-packages/", "test/", "tests/"} <= set(LEFT_OUT)
    assert f"{LIBRARY}, without {', '.join(LEFT_OUT)}" in terminal.out


def test_json_is_one_document_of_the_documented_type(terminal: Terminal, folder: Path) -> None:
    output = terminal.json("demo", "--path", "elsewhere")
    assert (folder.parent / "elsewhere" / "readmes").is_dir()
    assert terminal.out.count("\n") == 1
    assert plain(TypeAdapter(DemoOutput).validate_json(terminal.out)) == output
    assert output["complete"] is True
    assert output["citations"] == output["citations_resolved"] == 3
    assert 0 <= output["searchable_seconds"] <= output["first_answer_seconds"] <= output["total_seconds"]


def test_answers_come_while_embedding_goes_on_and_the_budget_ends_it_cleanly(terminal: Terminal, folder: Path) -> None:
    terminal.workspace.embeds_until_stopped = True
    assert terminal.run("demo", "--budget", "0") == 0
    assert terminal.workspace.stopping.is_set()
    assert terminal.out.count("A timeout cancels the task.\u00a0[1]") == 3
    assert "Embedding stopped here; it goes on with: intelforge -w demo-workspace sync" in terminal.out


def test_citation_that_does_not_resolve_is_counted(terminal: Terminal, folder: Path) -> None:
    terminal.workspace.document = replace(terminal.workspace.document, text="# Guide\n\nSomething else altogether.....")
    output = terminal.json("demo")
    assert (output["citations"], output["citations_resolved"]) == (3, 0)


def test_without_the_model_it_goes_on_and_says_so(terminal: Terminal, folder: Path) -> None:
    terminal.pull_error = ModelError("the hub cannot be reached", hint="check your connection")
    assert terminal.run("demo") == 0
    note = "Note: search is by words alone, without the embedding model: the hub cannot be reached; check your"
    assert note in terminal.out


def test_model_that_is_here_is_not_fetched(terminal: Terminal, folder: Path) -> None:
    terminal.model_present = True
    terminal.pull_error = ModelError("must not be asked")
    assert terminal.json("demo")["notes"] == []


def test_interrupted_fetching_ends_the_demonstration(terminal: Terminal, folder: Path) -> None:
    terminal.pull_error = IntelForgeError("interrupted", code=ErrorCode.INTERRUPTED)
    assert terminal.run("demo") == 130
    assert not terminal.workspace.calls


def test_sync_that_fails_ends_it_with_that_error(terminal: Terminal, folder: Path) -> None:
    async def sync(self: FakeWorkspace, *sources: str, report: object = None) -> None:
        raise StorageError("the disk is full", code=ErrorCode.DISK_FULL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeWorkspace, "sync", sync)
        assert terminal.run("demo") == 17
    assert terminal.err == "error: the disk is full\n"


def test_a_sync_that_was_stopped_ends_the_questions_too(terminal: Terminal, folder: Path) -> None:
    async def sync(self: FakeWorkspace, *sources: str, report: object = None) -> SyncReport:
        return SyncReport(complete=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeWorkspace, "sync", sync)
        assert terminal.json("demo")["questions"] == []
    assert not [call for call in terminal.workspace.calls if call[0] == "ask"]


def test_question_that_fails_takes_the_sync_down_with_it(terminal: Terminal, folder: Path) -> None:
    cancelled = []

    async def sync(self: FakeWorkspace, *sources: str, report: object = None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeWorkspace, "sync", sync)
        patch.setattr(FakeWorkspace, "ask", sync_error)
        assert terminal.run("demo", "--budget", "0") == 23
    assert cancelled == [True]
    assert terminal.workspace.closed == 1


async def sync_error(self: FakeWorkspace, question: str) -> None:
    raise ModelError("the model gave up")


def test_folder_of_someone_else_is_refused(terminal: Terminal, folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("x")
    assert terminal.run("demo") == 2
    assert "choose another with --path" in terminal.err
    assert not terminal.workspace.calls


def test_second_run_uses_the_workspace_again(terminal: Terminal, folder: Path) -> None:
    terminal.run("demo")
    before = {file.name: file.stat().st_mtime_ns for file in (folder / "readmes").iterdir()}
    assert terminal.run("demo") == 0
    assert {file.name: file.stat().st_mtime_ns for file in (folder / "readmes").iterdir()} == before

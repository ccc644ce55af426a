"""The command line over the real workspace, without a network and without the embedding model."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from intelforge.interfaces.cli.main import run
from intelforge.interfaces.cli.schema import OUTPUTS, plain

GUIDE = """# Guide

## Timeouts

A timeout cancels the running task. Then it waits until the task is really cancelled.

## Retries

A request is tried again with exponential backoff, at most five times.
"""


class User:
    """Types commands in a folder, and reads what they print as JSON."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capture = capture

    def type(self, *arguments: str, code: int = 0) -> str:
        assert run(["-w", str(self.folder), *arguments]) == code, self.capture.readouterr().err
        return self.capture.readouterr().out

    def read(self, command: str, *arguments: str, code: int = 0) -> Any:
        printed = self.type(*command.split(), *arguments, "--json", code=code)
        typed: object = TypeAdapter(OUTPUTS[command]).validate_json(printed)
        assert plain(typed) == json.loads(printed)
        return plain(typed)


@pytest.fixture
def user(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> User:
    monkeypatch.setenv("INTELFORGE_EMBEDDER", "none:")
    monkeypatch.setenv("INTELFORGE_LLM", "none:")
    monkeypatch.setenv("INTELFORGE_WORKERS", "1")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.md").write_text(GUIDE, encoding="utf-8")
    return User(tmp_path / "workspace", capsys)


@pytest.mark.slow
def test_from_an_empty_folder_to_a_checked_answer_and_back(user: User, tmp_path: Path) -> None:
    docs = str(tmp_path / "docs")
    assert user.read("init")["path"] == str(user.folder)
    assert user.read("add", docs)["sources"][0]["kind"] == "folder"
    assert user.read("sync")["added"] == 1
    assert user.read("status")["items"]["ready"] == 1

    hit = user.read("search", "exponential backoff")["hits"][0]
    assert "exponential backoff" in hit["chunk"]["text"]
    answer = user.read("ask", "What does a timeout do?")
    citation = answer["answer"]["sentences"][0]["citations"][0]
    span = f"{citation['start']}:{citation['end']}"
    assert user.read("show", citation["document_id"], "--span", span)["text"] == citation["quote"]
    assert GUIDE[citation["start"] : citation["end"]] == citation["quote"]
    assert "guide.md:5-5" in user.type("ask", "What does a timeout do?")

    assert user.read("doctor")["ok"] is True
    assert user.read("sources remove", docs, "--yes")["removed"] is True
    assert user.read("sources")["sources"] == []
    assert user.read("ask", "What does a timeout do?")["found"] is False


def test_settings_survive_a_broken_file_only_by_hand(user: User) -> None:
    user.type("init")
    assert user.read("config set", "workers", "2")["settings"][0]["name"] == "workers"
    (user.folder / "intelforge.toml").write_text("workers = [", encoding="utf-8")
    for command in (["status"], ["config", "set", "workers", "2"], ["config"]):
        assert "is not valid TOML" in json.loads(user.type(*command, "--json", code=3))["error"]["message"]
    assert user.read("doctor", code=1)["checks"][0]["ok"] is False


def test_mistakes_are_named_with_their_code(user: User, tmp_path: Path) -> None:
    assert "intelforge init" in json.loads(user.type("status", "--json", code=4))["error"]["hint"]
    user.type("init")
    assert json.loads(user.type("add", str(tmp_path / "nope"), "--json", code=4))["error"]["code"] == "not_found"
    assert json.loads(user.type("search", " ", "--json", code=2))["error"]["code"] == "invalid_input"
    assert json.loads(user.type("config", "set", "wrokers", "2", "--json", code=3))["error"]["code"] == "invalid_config"

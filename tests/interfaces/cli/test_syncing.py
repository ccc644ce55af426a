import json
from dataclasses import replace

import pytest

from intelforge.testing.terminal import Terminal


def test_sync_passes_sources_and_flags(terminal: Terminal) -> None:
    terminal.run("sync", "s1", "s2", "--no-embed", "--retry-failed")
    terminal.run("sync")
    assert terminal.workspace.calls == [("sync", ("s1", "s2"), False, True), ("sync", (), True, False)]


def test_source_that_failed_as_a_whole_is_an_exit_code(terminal: Terminal) -> None:
    terminal.workspace.done = replace(terminal.workspace.done, complete=False, errors=("https://x: unknown host",))
    assert terminal.run("sync") == 1
    assert "failed: https://x: unknown host" in terminal.out


def test_failed_items_are_no_exit_code(terminal: Terminal) -> None:
    assert terminal.workspace.done.failed
    assert terminal.run("sync") == 0


def test_watch_prints_one_line_of_json_for_each_sync(terminal: Terminal) -> None:
    assert terminal.run("sync", "--watch", "--json") == 0
    assert [json.loads(line)["changed"] for line in terminal.out.splitlines()] == [0, 1]


@pytest.mark.parametrize("flag", ["--no-embed", "--retry-failed", "s1"])
def test_watch_refuses_what_it_would_ignore(terminal: Terminal, flag: str) -> None:
    assert terminal.run("sync", "--watch", flag) == 2
    assert not terminal.workspace.calls


def test_status_passes_skipped(terminal: Terminal) -> None:
    terminal.run("status", "--skipped")
    assert terminal.workspace.calls == [("status", True)]


def test_watch_on_a_terminal_says_how_to_end_it(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal.run("sync", "--watch")
    assert "Ctrl-C ends it" in terminal.err

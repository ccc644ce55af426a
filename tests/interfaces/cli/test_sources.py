import pytest
from rich.console import Console

from intelforge.testing.terminal import Terminal


def test_add_passes_every_location_and_the_kind(terminal: Terminal) -> None:
    assert terminal.run("add", "docs", "https://example.com/", "--kind", "web") == 0
    assert terminal.workspace.calls == [("add", ("docs", "https://example.com/"), "web")]
    assert terminal.out.endswith("Next: intelforge sync\n")


def test_remove_with_yes_removes(terminal: Terminal) -> None:
    assert terminal.run("sources", "remove", "/data/docs", "--yes") == 0
    assert ("remove", "s1") in terminal.workspace.calls
    assert terminal.out == "Removed /data/docs (9 ready).\n"


def test_dry_run_removes_nothing(terminal: Terminal) -> None:
    assert terminal.json("sources", "remove", "s1", "--dry-run")["removed"] is False
    assert ("remove", "s1") not in terminal.workspace.calls


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_without_a_yes_and_nobody_to_ask_nothing_is_removed(terminal: Terminal, flags: list[str]) -> None:
    assert terminal.run("sources", "remove", "s1", *flags) == 2
    assert "add --yes or --dry-run" in terminal.err + terminal.out
    assert ("remove", "s1") not in terminal.workspace.calls


@pytest.mark.parametrize(("reply", "code", "removed"), [("y\n", 0, True), ("n\n", 130, False), ("", 130, False)])
def test_on_a_terminal_it_asks_first(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, reply: str, code: int, removed: bool
) -> None:
    import io

    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setattr("sys.stdin", io.StringIO(reply))
    assert terminal.run("sources", "remove", "s1") == code
    assert "Remove /data/docs (9 ready) from the workspace? [y/N]" in terminal.err
    assert (("remove", "s1") in terminal.workspace.calls) is removed


def test_unknown_source_is_named(terminal: Terminal) -> None:
    assert terminal.run("sources", "remove", "moon", "--yes") == 4
    assert terminal.err == "error: there is no source 'moon'; run: intelforge sources\n"

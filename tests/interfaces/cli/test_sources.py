from dataclasses import replace

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


@pytest.mark.parametrize(("reply", "code", "removed"), [("y\n", 0, True), ("n\n", 1, False), ("", 130, False)])
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


def test_add_may_limit_a_source_to_local_models(terminal: Terminal) -> None:
    assert terminal.json("add", "docs", "--local-models-only")["sources"][0]["local_models_only"] is True
    assert terminal.json("add", "docs")["sources"][0]["local_models_only"] is False
    assert terminal.run("add", "docs", "--local-models-only") == 0
    assert "Models" in terminal.out
    assert "local" in terminal.out


@pytest.mark.parametrize(("flag", "local"), [("--local-models-only", True), ("--any-models", False)])
def test_set_says_which_models_a_source_may_go_to(terminal: Terminal, flag: str, local: bool) -> None:
    assert terminal.json("sources", "set", "s1", flag)["source"]["local_models_only"] is local
    assert terminal.workspace.calls == [("limit_models", "s1", local)]
    assert terminal.run("sources", "set", "s1", flag) == 0
    where = "may only go to models on this machine" if local else "may go to any model"
    assert terminal.out.endswith(f"What /data/docs holds {where}.\n")


def test_set_wants_to_be_told_what(terminal: Terminal) -> None:
    assert terminal.run("sources", "set", "s1") == 2
    assert terminal.workspace.calls == []


def test_the_list_tells_which_models_each_source_may_go_to(terminal: Terminal) -> None:
    assert terminal.run("sources") == 0
    assert "Models" not in terminal.out
    [status] = terminal.workspace.statuses
    limited = replace(status.source, id="s2", uri="/data/contracts", local_models_only=True)
    terminal.workspace.statuses.append(replace(status, source=limited))
    assert terminal.run("sources") == 0
    assert [line.split()[3] for line in terminal.out.splitlines() if "/data/" in line] == ["any", "local"]
    assert [one["source"]["local_models_only"] for one in terminal.json("sources")["sources"]] == [False, True]

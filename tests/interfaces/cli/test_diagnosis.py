from intelforge.core.errors import ConfigError
from intelforge.core.reports import Check
from intelforge.testing.terminal import Terminal


def test_required_check_that_fails_is_an_exit_code(terminal: Terminal) -> None:
    terminal.workspace.checks.append(Check(name="disk", ok=False, detail="full", fix="free some space"))
    assert terminal.run("doctor") == 1
    assert "FAIL  disk      full" in terminal.out
    assert terminal.json("doctor")["ok"] is False


def test_optional_check_that_fails_is_not(terminal: Terminal) -> None:
    terminal.workspace.checks.append(Check(name="model", ok=False, detail="absent", required=False))
    assert terminal.run("doctor") == 0
    assert terminal.json("doctor")["ok"] is True


def test_workspace_that_cannot_be_opened_is_the_finding(terminal: Terminal) -> None:
    terminal.workspace.error = ConfigError("intelforge.toml is not valid TOML", hint="mend line 3")
    assert terminal.run("doctor") == 1
    assert [line.rstrip() for line in terminal.out.splitlines()] == [
        "FAIL  workspace  intelforge.toml is not valid TOML",
        "                 fix: mend line 3",
    ]

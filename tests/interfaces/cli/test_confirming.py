"""Questions before something is destroyed, as they are answered on a terminal."""

import io

import pytest
from rich.console import Console

from intelforge.testing.terminal import Terminal


@pytest.fixture(autouse=True)
def _on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (("models", "forget"), "Forget 12 kept replies?"),
        (("router", "import", "r.npz"), "Replace what the router learned from 120 requests with r.npz?"),
    ],
)
def test_a_no_does_nothing_and_is_told(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], question: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert terminal.run(*words) == 1
    assert question in terminal.err
    assert "nothing was done" in terminal.err
    calls = (*terminal.workspace.models.calls, *terminal.workspace.routing.calls)
    assert [call[-1] for call in calls] == [True]  # only tried


def test_a_yes_does_it(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert terminal.run("index", "drop", "1") == 0
    assert terminal.workspace.index.calls[-1] == ("drop", 1, False)

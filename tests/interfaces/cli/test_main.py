"""The command line as a whole: every command runs, and what it prints is what was documented."""

import pytest

from intelforge.testing.terminal import Terminal


@pytest.mark.parametrize(
    "arguments",
    [
        ["init", "/data"],
        ["add", "/data/docs"],
        ["sources"],
        ["sources", "list"],
        ["sources", "remove", "s1", "--yes"],
        ["sync"],
        ["status"],
        ["search", "timeout"],
        ["ask", "What does a timeout do?"],
        ["show", "d0c"],
        ["config", "show"],
        ["config", "set", "embedder", "none:"],
        ["models", "list"],
        ["models", "pull"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_every_command_succeeds_and_prints_something(terminal: Terminal, arguments: list[str]) -> None:
    assert terminal.run(*arguments) == 0
    assert terminal.out.strip()
    assert not terminal.err

import pytest

from intelforge.testing.terminal import Terminal
from intelforge.testing.workspace import FakeWorkspace


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """The command line, 100 columns wide, not on a terminal."""
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal(workspace=FakeWorkspace(), capture=capsys.readouterr)

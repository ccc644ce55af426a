"""The command line as a whole: what every command has in common."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from intelforge import __version__
from intelforge.core.errors import OUTCOMES, ErrorCode, IntelForgeError, NotFoundError
from intelforge.interfaces.cli.main import run
from intelforge.interfaces.cli.schema import OUTPUTS, plain
from intelforge.testing.terminal import Terminal
from intelforge.testing.workspace import make_hit

COMMANDS = {
    "init": ["init", "/data"],
    "add": ["add", "/data/docs", "https://example.com/"],
    "sources": ["sources"],
    "sources list": ["sources", "list"],
    "sources set": ["sources", "set", "s1", "--any-models"],
    "sources remove": ["sources", "remove", "s1", "--yes"],
    "sync": ["sync"],
    "status": ["status"],
    "search": ["search", "timeout"],
    "ask": ["ask", "What does a timeout do?"],
    "show": ["show", "d0c", "--span", "9:36"],
    "config": ["config"],
    "config show": ["config", "show"],
    "config set": ["config", "set", "embedder", "none:"],
    "models": ["models"],
    "models list": ["models", "list"],
    "models pull": ["models", "pull"],
    "models check": ["models", "check"],
    "models facts": ["models", "facts"],
    "models recommend": ["models", "recommend"],
    "models probe": ["models", "probe", "ollama:qwen3:8b"],
    "models bench": ["models", "bench", "ollama:qwen3:8b"],
    "models similar": ["models", "similar", "questions.jsonl"],
    "models forget": ["models", "forget", "--yes"],
    "index": ["index"],
    "index versions": ["index", "versions"],
    "index stats": ["index", "stats"],
    "index verify": ["index", "verify"],
    "index tune": ["index", "tune"],
    "index rebuild": ["index", "rebuild"],
    "index rollback": ["index", "rollback"],
    "index migrate": ["index", "migrate", "--to", "faiss:other"],
    "index drop": ["index", "drop", "1", "--yes"],
    "index export": ["index", "export", "index.parquet"],
    "index import": ["index", "import", "index.parquet"],
    "cost": ["cost", "--by", "user"],
    "budget": ["budget"],
    "budget list": ["budget", "list"],
    "budget set": ["budget", "set", "--per", "day", "5"],
    "budget remove": ["budget", "remove", "3f2a", "--yes"],
    "router": ["router"],
    "router show": ["router", "show"],
    "router freeze": ["router", "freeze"],
    "router unfreeze": ["router", "unfreeze"],
    "router export": ["router", "export", "router.npz"],
    "router import": ["router", "import", "router.npz", "--yes"],
    "router rate": ["router", "rate", "7f3a9c21", "0.9"],
    "router replay": ["router", "replay", "calls.jsonl"],
    "doctor": ["doctor"],
}
HEAVY = ("sqlalchemy", "pydantic", "lancedb", "numpy", "onnxruntime", "httpx2", "dbos", "intelforge.workspace")


def test_this_list_the_demo_and_the_server_are_all_commands() -> None:
    assert {*COMMANDS, "demo", "serve"} == set(OUTPUTS)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_command_prints_its_result_and_nothing_else(terminal: Terminal, arguments: list[str]) -> None:
    assert terminal.run(*arguments) == 0
    assert terminal.out.strip()
    assert not terminal.err


@pytest.mark.parametrize(("words", "arguments"), COMMANDS.items(), ids=COMMANDS)
def test_json_is_one_document_of_the_documented_type(terminal: Terminal, words: str, arguments: list[str]) -> None:
    assert terminal.run(*arguments, "--json") == 0
    assert terminal.out.count("\n") == 1
    assert not terminal.err
    typed: object = TypeAdapter(OUTPUTS[words]).validate_json(terminal.out)
    assert plain(typed) == json.loads(terminal.out)


@pytest.mark.parametrize("arguments", [["--json", "status"], ["status", "--json"]], ids=" ".join)
def test_global_options_stand_before_or_after_the_command(terminal: Terminal, arguments: list[str]) -> None:
    terminal.run("-w", "/here", *arguments)
    assert json.loads(terminal.out)["documents"] == 9
    assert terminal.workspace.opened == [Path("/here")]


def test_a_group_without_a_command_takes_them_too(terminal: Terminal) -> None:
    assert terminal.json("-w", "/here", "sources")["sources"][0]["source"]["id"] == "s1"
    assert terminal.workspace.opened == [Path("/here")]


def test_version(terminal: Terminal) -> None:
    assert terminal.run("--version") == 0
    assert terminal.out == f"{__version__}\n"


@pytest.mark.parametrize("code", list(ErrorCode))
def test_error_is_one_line_and_its_code_is_the_exit_code(terminal: Terminal, code: ErrorCode) -> None:
    terminal.workspace.error = IntelForgeError("the disk\nis full", hint="free some space", code=code)
    assert terminal.run("status") == OUTCOMES[code].exit_code
    assert terminal.err == "error: the disk is full; free some space\n"
    assert terminal.out == ""


def test_error_as_json(terminal: Terminal) -> None:
    terminal.workspace.error = NotFoundError("nothing there", hint="look elsewhere")
    expected = {"error": {"code": "not_found", "message": "nothing there", "hint": "look elsewhere"}}
    assert terminal.json("status") == expected
    assert terminal.err == ""


def test_error_text_cannot_drive_the_terminal(terminal: Terminal) -> None:
    terminal.workspace.error = NotFoundError("no \x1b]0;owned\x07\x1b[31mfile\r")
    terminal.run("status")
    assert terminal.err == "error: no file\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "No such command 'nope'"),
        (["searhc", "x"], "Did you mean 'search'?"),
        (["ask"], "Missing argument 'QUESTION'"),
        (["search", "x", "--limit", "0"], "'--limit'"),
        (["status", "--what"], "No such option: --what"),
        (["add", "x", "--kind", "moon"], "'moon' is not one of 'folder', 'file', 'git', 'web'"),
    ],
)
def test_mistake_in_the_line_is_one_line_and_exit_code_2(
    terminal: Terminal, arguments: list[str], message: str
) -> None:
    assert terminal.run(*arguments) == 2
    assert terminal.err.startswith("error: ")
    assert message in terminal.err
    assert "--help" in terminal.err
    assert terminal.err.count("\n") == 1
    assert message in terminal.json(*arguments)["error"]["message"]


def test_unexpected_error_is_one_line_that_names_debug(terminal: Terminal) -> None:
    terminal.workspace.error = RuntimeError("wires crossed")
    assert terminal.run("status") == 1
    assert terminal.err == "error: unexpected RuntimeError: wires crossed; run again with --debug\n"
    assert terminal.json("status")["error"]["code"] == "internal"


@pytest.mark.parametrize("error", [RuntimeError("wires crossed"), NotFoundError("wires crossed")])
def test_debug_shows_the_traceback(terminal: Terminal, error: Exception) -> None:
    terminal.workspace.error = error
    terminal.run("status", "--debug")
    assert "Traceback" in terminal.err
    assert "in status" in terminal.err


def test_json_after_two_dashes_is_a_word_of_the_question(terminal: Terminal) -> None:
    terminal.workspace.error = NotFoundError("nothing there")
    assert terminal.run("ask", "--", "--json") == 4
    assert terminal.workspace.calls == [("ask", "--json", None)]
    assert terminal.err == "error: nothing there\n"


def test_no_command_shows_the_help(terminal: Terminal) -> None:
    assert terminal.run() == 0
    assert "Usage: intelforge" in terminal.out
    assert not terminal.workspace.opened


def test_reader_that_went_away_is_no_error(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def fileno(self) -> int:
            return null.fileno()

        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Path(os.devnull).open("w") as null:
        monkeypatch.setattr(sys, "stdout", Closed())
        assert terminal.run("status", "--json") == 1
        assert terminal.run("status") == 1
    assert terminal.err == ""


def test_terminal_without_unicode_shows_substitutes(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    terminal.workspace.hits = [make_hit("Grüße … 漢字 \ud800")]
    assert terminal.run("search", "Grüße") == 0
    assert b"Gr??e" in written.getvalue()


def test_json_has_no_character_that_a_terminal_could_refuse(terminal: Terminal) -> None:
    assert terminal.json("search", "漢字 \udcff")["query"] == "漢字 \udcff"
    assert terminal.out.isascii()


def test_help_needs_none_of_the_heavy_modules() -> None:
    script = f"""
import sys
from intelforge.interfaces.cli.main import run
assert run(["--help"]) == 0
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def processor_seconds(script: str) -> float:
    """What a fresh interpreter takes for the script, measured coverage left out: it doubles the time of an import."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    before = os.times()
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL, env=environment)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_help_comes_within_three_tenths_of_a_second() -> None:
    """Three tenths where the libraries that draw it take half of that: a ratio, since machines differ."""
    drawing = "import typer.rich_utils, rich.table, rich.panel"
    asking = "from intelforge.interfaces.cli.main import run; run(['--help'])"
    times = [(processor_seconds(drawing), processor_seconds(asking)) for _ in range(5)]
    libraries, help_text = (min(column) for column in zip(*times, strict=True))
    assert help_text < 2 * libraries


def test_the_process_ends_with_the_exit_code() -> None:
    command = [sys.executable, "-c", "from intelforge.interfaces.cli.entry import main; main()", "nope"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 2


def test_an_interrupt_while_the_program_loads_is_one_line(tmp_path: Path) -> None:
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's job may ignore it
    (tmp_path / "typer.py").write_text(f"{heard}; signal.raise_signal(signal.SIGINT)")
    command = [sys.executable, "-c", "from intelforge.interfaces.cli.entry import main; main()", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "error: interrupted\n")
    asked = [*command[:-1], "status", "--json"]
    ended = subprocess.run(asked, check=False, capture_output=True, text=True, env=environment)
    assert json.loads(ended.stdout)["error"]["code"] == "interrupted"
    assert (ended.returncode, ended.stderr) == (130, "")


def test_a_full_disk_below_the_output_is_told(terminal: Terminal) -> None:
    terminal.workspace.error = OSError(errno.ENOSPC, "No space left on device")
    assert terminal.run("status") == 17
    assert terminal.err == "error: the disk is full; free some space and run again\n"


def test_every_error_code_has_an_outcome() -> None:
    assert set(OUTCOMES) == set(ErrorCode)


@pytest.mark.parametrize("words", [["status"], ["config"], ["config", "show"]])
def test_run_never_raises_and_tells_of_an_interrupt(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise KeyboardInterrupt

    assert run(words, broken) == 130  # type: ignore[arg-type]
    assert capsys.readouterr().err == "error: interrupted\n"
    assert run([*words, "--json"], broken) == 130  # type: ignore[arg-type]
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "interrupted"

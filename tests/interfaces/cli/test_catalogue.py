import asyncio
import csv
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from defusedxml import ElementTree

from intelforge.core.accounting import NOBODY
from intelforge.core.chat import Accounting
from intelforge.core.model_reports import BenchReport, Preference
from intelforge.testing.modelling import FakeModelling, bench_report, fitting
from intelforge.testing.terminal import Terminal


def words(terminal: Terminal) -> str:
    return " ".join(terminal.out.split())


def test_facts_say_what_is_known_and_what_is_not(terminal: Terminal) -> None:
    assert terminal.run("models", "facts") == 0
    assert terminal.workspace.models.calls == [("cards",)]
    assert "400,000" in terminal.out
    assert "1.25+" in terminal.out
    assert "7.0 GB" in terminal.out
    assert "it made 0 calls" in terminal.out
    assert "A fact was found in a prompt of 4,096 tokens, lost at 8,192." in words(terminal)
    (card,) = terminal.json("models", "facts", "openai:gpt-5")["models"]
    assert card["prices"]["cache_read"] == 0.125
    assert card["profile"] is None


def test_without_models_it_is_said_how_to_name_one(terminal: Terminal) -> None:
    terminal.workspace.models.found = []
    assert terminal.run("models", "facts") == 0
    assert "intelforge models facts openai:gpt-5" in terminal.out


def test_a_recommendation_names_model_reason_and_machine(terminal: Terminal) -> None:
    assert terminal.run("models", "recommend", "--for", "quality", "--memory", "8", "--context", "4096") == 0
    assert terminal.asked == [(Preference.QUALITY, 8.0, 4096)]
    assert terminal.workspace.opened == []
    assert "For quality: qwen3:8b (get it: ollama pull qwen3:8b)" in terminal.out
    assert "12.8 GB for a model, 8 cores, memory at 50 GB/s; NVIDIA T4, 16.1 GB" in words(terminal)
    assert "1 do not fit" in terminal.out
    assert "Note: no Ollama runs here" in terminal.out
    found = terminal.json("models", "recommend")
    assert found["preference"] == "balance"
    assert found["table"][0]["source"] == "https://huggingface.co/Qwen/Qwen3-8B"


def test_an_installed_model_need_not_be_fetched(terminal: Terminal) -> None:
    terminal.recommended = fitting("qwen3:8b", installed="qwen3:8b")
    assert terminal.run("models", "recommend") == 0
    assert "qwen3:8b (installed already)" in terminal.out


def test_a_machine_too_small_is_told_so(terminal: Terminal) -> None:
    terminal.recommended = None
    assert terminal.run("models", "recommend") == 0
    assert "Nothing: none of the known models fits." in terminal.out


def test_a_preference_that_is_none_is_refused(terminal: Terminal) -> None:
    assert terminal.run("models", "recommend", "--for", "beauty") == 2
    assert "beauty" in terminal.err


def test_a_probe_shows_what_was_tried(terminal: Terminal) -> None:
    assert terminal.run("models", "probe", "ollama:qwen3:8b", "--context", "8192") == 0
    assert terminal.workspace.models.calls == [("probe", "ollama:qwen3:8b", 8192)]
    assert "2 of 2" in terminal.out
    assert "0 of 2" in terminal.out
    assert "21.5 tokens a second, first one after 0.40 s; 15 calls, no cost" in words(terminal)
    assert terminal.json("models", "probe", "x:y")["trials"][1]["skill"] == "calls a tool with the right arguments"


def test_a_benchmark_compares_models_and_writes_files(terminal: Terminal, tmp_path: Path) -> None:
    table, picture = tmp_path / "calls.csv", tmp_path / "speed.svg"
    arguments = ("models", "bench", "a:x", "b:y", "--repeat", "2", "--csv", str(table), "--plot", str(picture))
    assert terminal.run(*arguments) == 0
    assert terminal.workspace.models.calls == [("bench", ("a:x", "b:y"), None, 2)]
    lines = [line.split() for line in terminal.out.splitlines()]
    assert ["a:x", "0.25", "0.40", "3.00", "3.50", "3.10"] in lines
    fast, slow = lines[-2:]
    assert [fast[0], *fast[-6:]] == ["a:x", "20.0", "5.0%", "5.5", "GB", "no", "cost"]
    assert [slow[0], *slow[-6:]] == ["b:y", "10.0", "5.0%", "5.5", "GB", "no", "cost"]
    assert [row["model"] for row in csv.DictReader(table.read_text().splitlines())] == ["a:x"]
    assert ElementTree.fromstring(picture.read_text()).tag.endswith("svg")
    assert len(terminal.json("models", "bench", "a:x")["models"]) == 1


def test_models_that_failed_are_named_with_the_reason(terminal: Terminal) -> None:
    terminal.workspace.models.failed = True
    assert terminal.run("models", "bench", "a:x") == 0
    assert "a:x: 6 of 6 calls failed: it is not there" in terminal.out
    assert "a:x" in [line.strip() for line in terminal.out.splitlines()]  # without a number


@pytest.mark.parametrize(
    ("option", "told"), [(("--plot", "x.png"), "is not an SVG file"), (("--csv", "/none/x.csv"), "cannot be written")]
)
def test_files_that_cannot_be_written_are_named(terminal: Terminal, option: tuple[str, str], told: str) -> None:
    assert terminal.run("models", "bench", "a:x", *option) != 0
    assert told in terminal.err


@pytest.mark.parametrize("words", [("probe", "a:x"), ("bench", "a:x"), ("similar", "questions.jsonl")])
def test_calls_are_for_whom_it_is_said(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.run("models", *words, "--user", "ann", "--team", "sales", "--run", "r1") == 0
    assert terminal.run("models", *words) == 0
    assert terminal.workspace.models.accounted == [Accounting(user="ann", team="sales", run="r1"), NOBODY]


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_benchmark_shows_and_writes_what_was_measured(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def bench(self: FakeModelling, urls: Sequence[str], **options: object) -> BenchReport:
        interrupt()
        async with asyncio.timeout(5):
            await terminal.workspace.stopping.wait()
        return bench_report(*urls)

    monkeypatch.setattr(FakeModelling, "bench", bench)
    table = tmp_path / "calls.csv"
    assert terminal.run("models", "bench", "a:x", "b: y", "--csv", str(table)) == 130
    assert "5.5 GB" in terminal.out
    assert len(table.read_text().splitlines()) == 2
    assert terminal.err.splitlines() == [
        "stopping; press Ctrl-C again to leave without what was measured",
        "stopped; that is what was measured until then. Begin anew with: intelforge models bench a:x 'b: y'",
    ]


def test_an_interrupted_probe_ends_at_once(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    async def probe(self: FakeModelling, url: str, **options: object) -> None:
        interrupt()
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeModelling, "probe", probe)
    assert terminal.run("models", "probe", "a:x") == 130
    assert (terminal.out, terminal.err) == ("", "error: interrupted\n")


def test_similar_questions_are_measured(terminal: Terminal) -> None:
    assert terminal.run("models", "similar", "questions.jsonl") == 0
    assert terminal.workspace.models.calls == [("similar", Path("questions.jsonl"))]
    assert "1.00%" in terminal.out
    assert "intelforge config set cache_similarity 0.95" in words(terminal)
    assert terminal.json("models", "similar", "questions.jsonl")["rows"][0]["hit_rate"] == 0.5


def test_kept_replies_are_forgotten_once_that_is_agreed_to(terminal: Terminal) -> None:
    assert terminal.run("models", "forget") == 2
    assert "add --yes or --dry-run" in terminal.err
    assert terminal.run("models", "forget", "--dry-run") == 0
    assert terminal.out == "Would forget 12 kept replies.\n"
    assert ("forget", False) not in terminal.workspace.models.calls
    assert terminal.run("models", "forget", "--yes") == 0
    assert terminal.out == "Forgot 12 kept replies.\n"
    assert ("forget", False) in terminal.workspace.models.calls
    assert terminal.json("models", "forget", "--dry-run") == {"forgotten": 12, "done": False}


def test_what_was_measured_is_shown_although_it_cannot_be_written(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.run("models", "bench", "mock:", "--csv", str(tmp_path / "none" / "b.csv")) != 0
    assert "First token" in terminal.out
    assert "cannot be written" in terminal.err

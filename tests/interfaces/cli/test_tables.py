"""What a reader sees of sources, states, settings, models and checks."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from intelforge.core.model_reports import Preference
from intelforge.core.reports import Check, SourceStatus, SyncReport
from intelforge.core.values import ItemState
from intelforge.interfaces.cli.model_tables import render_recommendation
from intelforge.interfaces.cli.routing_tables import render_router
from intelforge.interfaces.cli.tables import (
    SHOWN_FAILURES,
    render_added,
    render_checks,
    render_models,
    render_settings,
    render_sources,
    render_status,
    render_sync,
)
from intelforge.testing.modelling import fitting, recommendation
from intelforge.testing.routing import STATUS
from intelforge.testing.terminal import MODEL
from intelforge.testing.workspace import AT, SOURCE, FakeWorkspace, make_status

HERE = Path("/data")


def lines_of(renderable: RenderableType, width: int = 80) -> list[str]:
    console = Console(width=width, markup=False, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable, crop=False)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_status_shows_states_embedding_and_failures_with_reasons() -> None:
    lines = lines_of(render_status(replace(make_status(), running=("sync by 4711",), notes=("a note",)), HERE))
    assert "Items      9 ready, 1 failed" in lines
    assert "Documents  9 in 40 chunks" in lines
    assert "Embedded   10 of 40 chunks (25%) by onnx:all-MiniLM-L6-v2; 3.0 s of work left" in lines
    assert "Running    sync by 4711" in lines
    assert "Note: a note" in lines
    synced = AT.astimezone().strftime("%Y-%m-%d %H:%M").split()
    assert ["s1", "folder", "docs", "9", "ready,", "1", "failed", *synced] in [line.split() for line in lines]
    assert "bad.pdf  failed  the PDF is encrypted" in lines


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embedder": "none:"}, "Embedded   no embedder; search is by words alone"),
        ({"embedded": 40}, "Embedded   40 of 40 chunks (100%) by onnx:all-MiniLM-L6-v2"),
        ({"chunks": 0, "embedded": 0}, "Embedded   0 of 0 chunks by onnx:all-MiniLM-L6-v2"),
        ({"embedding_eta": None}, "Embedded   10 of 40 chunks (25%) by onnx:all-MiniLM-L6-v2"),
    ],
)
def test_status_says_how_far_the_embedding_is(change: dict[str, object], words: str) -> None:
    assert words in lines_of(render_status(replace(make_status(), **change), HERE))  # type: ignore[arg-type]


def test_status_lists_the_first_failures_and_counts_the_rest() -> None:
    failure = make_status().failures[0]
    many = tuple(replace(failure, uri=f"{n}.pdf") for n in range(SHOWN_FAILURES + 1234))
    lines = lines_of(render_status(replace(make_status(), failures=many), HERE))
    assert sum("the PDF is encrypted" in line for line in lines) == SHOWN_FAILURES
    assert lines[-1] == "and 1,234 more: --json"


def test_status_without_failures_ends_with_the_sources() -> None:
    lines = lines_of(render_status(replace(make_status(), failures=()), HERE))
    assert not any("Reason" in line for line in lines)


def test_sources_show_only_states_that_occur_and_why_a_sync_failed() -> None:
    broken = SourceStatus(source=SOURCE, items={"ready": 1200}, error="host\nunknown")
    lines = lines_of(render_sources([broken], HERE))
    assert lines[0].split() == ["Source", "Kind", "Location", "Items", "Last", "sync"]
    assert "1,200" in lines[1]
    assert lines[1].endswith("never")
    assert lines[2] == "/data/docs: host unknown"


def test_without_sources_the_next_step_is_shown() -> None:
    assert lines_of(render_sources([], HERE)) == ["No sources yet. Add one: intelforge add PATH_OR_URL"]


def test_sync_is_one_line_and_points_to_reasons() -> None:
    report = SyncReport(added=1200, failed=2, chunks_embedded=1, searchable_seconds=2, seconds=75, errors=("no host",))
    assert lines_of(render_sync(report)) == [
        "1,200 added, 2 failed; searchable in 2.0 s, 1 chunk embedded, 1 min 15 s in all.",
        "failed: no host",
        "Reasons: intelforge status. Try again: intelforge sync --retry-failed",
    ]
    assert lines_of(render_sync(SyncReport())) == ["nothing to do; searchable in 0.00 s, 0.00 s in all."]


def test_settings_show_value_and_origin() -> None:
    assert lines_of(render_settings(FakeWorkspace().settings(), HERE)) == [
        "Setting   Value  From",
        "jobs      dbos:  default",
        "embedder  none:  intelforge.toml",
        "ignore    *.pyc  default",
    ]


def test_models_say_whether_they_are_here() -> None:
    here = replace(MODEL, present=True, size_bytes=90_868_376, path="/models/x")
    lines = lines_of(render_models([MODEL, here]))
    assert lines[1].split()[:2] == ["all-MiniLM-L6-v2", "no"]
    assert lines[2].split()[:4] == ["all-MiniLM-L6-v2", "yes", "90.9", "MB"]
    assert lines[3] == "all-MiniLM-L6-v2: /models/x"


def test_checks_show_the_fix_only_where_needed() -> None:
    checks = [
        Check(name="database", ok=True, detail="WAL", fix="nothing"),
        Check(name="model", ok=False, detail="absent", fix="pull it", required=False),
        Check(name="disk", ok=False, detail="full"),
    ]
    assert lines_of(render_checks(checks)) == [
        "ok    database  WAL",
        "note  model     absent",
        "                fix: pull it",
        "FAIL  disk      full",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_names_of_others_are_only_text_at_any_width(width: int) -> None:
    evil = "[red]漢字" * 30 + "\x1b]0;owned\x07"
    source = replace(SOURCE, uri=evil)
    failure = replace(make_status().failures[0], uri=evil, reason=evil, state=ItemState.SKIPPED)
    status = replace(make_status(), path=evil, sources=(SourceStatus(source=source),), failures=(failure,))
    for part in (render_status(status, HERE), render_added([source], HERE)):
        shown = "".join(lines_of(part, width))
        assert "\x1b" not in shown
        assert "[red]" in shown.replace(" ", "")


def test_a_sync_that_was_stopped_at_once_does_not_say_that_nothing_was_to_do() -> None:
    stopped = SyncReport(complete=False, searchable_seconds=0.1, seconds=0.2)
    assert lines_of(render_sync(stopped)) == ["nothing finished yet, 0.20 s in all."]
    assert lines_of(render_sync(SyncReport(seconds=0.2)))[0].startswith("nothing to do; searchable in")


def test_what_the_router_knows_fits_80_columns() -> None:
    lines = lines_of(render_router(STATUS))
    assert lines[1].startswith("openai:gpt-5-mini")
    assert max(map(len, lines)) <= 80


def test_models_that_fit_the_machine_fit_80_columns() -> None:
    long = replace(fitting("mistral-small3.2:24b"), licence="Llama 3.2 Community", weights_gb=14.7, memory_gb=17.3)
    lines = lines_of(render_recommendation(recommendation(Preference.BALANCE, chosen=long)))
    assert any("14.7\u00a0GB" in line and "17.3\u00a0GB" in line for line in lines)
    assert max(map(len, lines)) <= 80

"""Progress bars on a terminal, and nothing anywhere else."""

import io

import pytest
from rich.console import Console

from intelforge.core.reports import Progress, Stage
from intelforge.interfaces.cli.progress import progress_bars

INGESTING = Progress(stage=Stage.INGESTING, done=1200, total=4000, rate=320, eta=8.75, detail="a\x1b]0;b\x07.py")


def drawn(*moments: Progress, encoding: str = "utf-8", width: int = 120) -> str:
    """What is on the screen's lines after the last moment."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, errors="strict")
    console = Console(file=stream, force_terminal=True, width=width, color_system=None, markup=False)
    with progress_bars(console, shown=True) as display:
        for moment in moments:
            display.report(moment)
    stream.flush()
    return written.getvalue().decode(encoding)


def test_bar_shows_amount_rate_and_time_left() -> None:
    text = drawn(INGESTING)
    assert "Ingesting" in text
    assert "1,200/4,000 items" in text
    assert "320/s, 8.8 s left" in text
    assert "a.py" in text


def test_amount_without_total() -> None:
    assert "57 items" in drawn(Progress(stage=Stage.LISTING, done=57, total=None))


def test_bytes_are_shown_in_their_unit() -> None:
    text = drawn(Progress(stage=Stage.INGESTING, done=5_000_000, total=90_000_000, unit="bytes", rate=2_000_000))
    assert "5.0 MB of 90.0 MB" in text
    assert "2.0 MB/s" in text
    assert "7 bytes" in drawn(Progress(stage=Stage.INGESTING, done=7, total=None, unit="bytes"))


def test_listing_counts_as_full_once_the_next_stage_begins() -> None:
    last = drawn(Progress(stage=Stage.LISTING, done=0, total=None), INGESTING).rpartition("Listing")[2]
    assert "━" * 24 in last.partition("Ingesting")[0]


def test_bars_stand_in_the_order_of_the_stages() -> None:
    last = drawn(INGESTING, Progress(stage=Stage.LISTING, done=7, total=None)).rpartition("Listing")[2]
    assert "Ingesting" in last


def test_stage_without_work_has_no_bar() -> None:
    assert "Ingesting" not in drawn(Progress(stage=Stage.INGESTING, done=0, total=0))


def test_long_path_is_shown_by_its_end() -> None:
    text = drawn(Progress(stage=Stage.INGESTING, done=1, total=2, detail="/a/very/long/way/to/lib/asyncio/tasks.py"))
    assert "…way/to/lib/asyncio/tasks.py" in text
    assert "/a/very" not in text


@pytest.mark.parametrize("width", [60, 80])
def test_narrow_terminal_keeps_each_bar_on_one_line(width: int) -> None:
    moment = Progress(stage=Stage.EMBEDDING, done=12_000, total=26_000, unit="chunks", rate=32, eta=437, detail="x.py")
    assert "x.py" not in drawn(moment, width=width)
    assert drawn(moment, width=width).count("\n") == 1


def test_bars_can_be_called_after_the_work() -> None:
    written = io.StringIO()
    with progress_bars(Console(file=written, force_terminal=True), shown=True, title="Fetching") as display:
        display.report(Progress(stage=Stage.LISTING, done=1, total=2))
    assert "Fetching" in written.getvalue()
    assert "Listing" not in written.getvalue()


def test_done_takes_the_bars_away_and_a_new_sync_begins_afresh() -> None:
    done = Progress(stage=Stage.DONE, done=1, total=1)
    again = Progress(stage=Stage.LISTING, done=3, total=None)
    last = drawn(INGESTING, done, again).rpartition("Listing")[2]
    assert "Ingesting" not in last


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminal_without_unicode_gets_bars_it_can_show(encoding: str) -> None:
    assert "1,200/4,000 items" in drawn(INGESTING, encoding=encoding)


@pytest.mark.parametrize(("terminal", "shown"), [(False, True), (True, False)])
def test_nothing_is_drawn_elsewhere(terminal: bool, shown: bool) -> None:
    written = io.StringIO()
    with progress_bars(Console(file=written, force_terminal=terminal), shown=shown) as display:
        display.report(INGESTING)
        with display.paused():
            pass
    assert written.getvalue() == ""


def test_bars_are_off_the_screen_while_something_else_is_printed_and_never_erase_it() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=120, color_system=None)
    with progress_bars(console, shown=True) as display:
        display.report(INGESTING)
        with display.paused():
            before = written.getvalue()
            assert before.endswith("\x1b[1A\x1b[2K")
            display.report(INGESTING)
            assert written.getvalue() == before
        after = written.getvalue()[len(before) :]
        assert "1,200/4,000 items" in after
        assert "\x1b[1A" not in after.partition("1,200/4,000 items")[0]

"""Progress bars on the error stream: drawn on a terminal, absent everywhere else."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from intelforge.core.reports import Progress, Stage
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.wording import amount, duration

ROOM_FOR_DETAIL = 100
"""columns of a terminal on which the item at work is shown too"""
DETAIL_WIDTH = 28


class _Amount(ProgressColumn):
    """`1,200/4,000 items`, or `1,200 items` while the total is not known."""

    def render(self, task: Task) -> Text:
        progress: Progress = task.fields["progress"]
        if progress.unit == "bytes":
            done, total = amount(progress.done, "bytes"), amount(progress.total or 0, "bytes")
            return Text(f"{done} of {total}" if progress.total else done)
        total = f"/{progress.total:,}" if progress.total is not None else ""
        return Text(f"{progress.done:,}{total} {progress.unit}")


class _Pace(ProgressColumn):
    """`320/s, 12 s left`."""

    def render(self, task: Task) -> Text:
        progress: Progress = task.fields["progress"]
        per_second = amount(progress.rate, "bytes") if progress.unit == "bytes" else f"{progress.rate:,.0f}"
        rate = f"{per_second}/s" if progress.rate else ""
        left = f"{duration(progress.eta)} left" if progress.eta else ""
        return Text(", ".join(part for part in (rate, left) if part), style="dim")


class ProgressDisplay:
    """One bar for every stage that has begun, in the order of the stages; without a console nothing is drawn."""

    def __init__(self, console: Console | None = None, *, title: str = "") -> None:
        self._console = console
        self._title = title
        self._moments: dict[Stage, Progress] = {}
        self._tasks: dict[Stage, TaskID] = {}
        self._bars: Bars | None = None
        self.start()

    def report(self, progress: Progress) -> None:
        """Draws one moment of the work; the stage DONE takes all bars away."""
        if progress.stage is Stage.DONE:
            self._moments.clear()
        else:
            self._moments[progress.stage] = progress
        if self._bars is not None:
            self._draw(self._bars, progress.stage)

    def start(self) -> None:
        """Draws the bars as they stand, at the place where the cursor is now."""
        if self._console is None:
            return
        self._bars = _bars(self._console)
        self._tasks = {stage: self._add(self._bars, stage) for stage in Stage if stage is not Stage.DONE}
        for stage in self._moments:
            self._draw(self._bars, stage)
        self._bars.start()

    def stop(self) -> None:
        """Takes the bars off the screen."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes the bars off the screen while something else is printed."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _add(self, bars: Bars, stage: Stage) -> TaskID:
        nothing = Progress(stage=stage, done=0, total=None)
        title = self._title or stage.value.capitalize()
        return bars.add_task(title, total=None, visible=False, progress=nothing, detail="")

    def _draw(self, bars: Bars, current: Stage) -> None:
        for stage, task in self._tasks.items():
            progress = self._moments.get(stage)
            if progress is None:
                bars.update(task, visible=False)
                continue
            done, total = progress.done, progress.total
            if total is None and stage is not current:  # its total was never known; it is at its end
                done = total = max(done, 1)
            detail = _end(progress.detail) if stage is current else ""
            shown = progress.total != 0
            bars.update(task, visible=shown, completed=done, total=total, progress=progress, detail=detail)


@contextlib.contextmanager
def progress_bars(console: Console, *, shown: bool, title: str = "") -> Iterator[ProgressDisplay]:
    """A display to report to; bars are drawn while the context is open if `shown` and on a terminal.

    They are called after their stages, or by `title` where the work has none.
    """
    display = ProgressDisplay(console if shown and console.is_terminal else None, title=title)
    try:
        yield display
    finally:
        display.stop()


def _bars(console: Console) -> Bars:
    plain = Column(no_wrap=True)
    columns: list[ProgressColumn] = [
        SpinnerColumn("dots" if console.encoding.startswith("utf") else "line"),
        TextColumn("{task.description}", markup=False, table_column=plain),
        BarColumn(bar_width=24),
        _Amount(table_column=plain),
        _Pace(table_column=plain),
    ]
    if console.width >= ROOM_FOR_DETAIL:
        columns.append(TextColumn("{task.fields[detail]}", style="dim", markup=False, table_column=plain))
    return Bars(*columns, console=console, transient=True)


def _end(detail: str) -> str:
    """The end of a path tells more than its beginning."""
    line = one_line(detail)
    return line if len(line) <= DETAIL_WIDTH else f"…{line[1 - DETAIL_WIDTH :]}"

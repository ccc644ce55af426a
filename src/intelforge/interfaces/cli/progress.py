"""Progress bars on the error stream: drawn on a terminal, absent everywhere else."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from intelforge.core.reports import Progress, Stage
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.wording import amount, duration


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
    """One bar for every stage that has begun; without `bars` nothing is drawn."""

    def __init__(self, bars: Bars | None = None, *, title: str = "") -> None:
        self._bars = bars
        self._title = title
        self._tasks: dict[Stage, TaskID] = {}

    def report(self, progress: Progress) -> None:
        """Draws one moment of the work; the stage DONE takes all bars away."""
        if self._bars is None:
            return
        if progress.stage is Stage.DONE:
            self._clear(self._bars)
            return
        task = self._tasks.get(progress.stage)
        if task is None:
            self._fill(self._bars)
            title = self._title or progress.stage.value.capitalize()
            task = self._tasks[progress.stage] = self._bars.add_task(title, total=None, progress=progress, detail="")
        detail = one_line(progress.detail, limit=30)
        self._bars.update(task, completed=progress.done, total=progress.total, progress=progress, detail=detail)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes the bars off the screen while something else is printed."""
        if self._bars is None:
            yield
            return
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()

    def _fill(self, bars: Bars) -> None:
        """A stage whose total was never known is at its end once the next one begins."""
        for task in bars.tasks:
            if task.total is None:
                bars.update(task.id, total=max(task.completed, 1), completed=max(task.completed, 1), detail="")

    def _clear(self, bars: Bars) -> None:
        for task in self._tasks.values():
            bars.remove_task(task)
        self._tasks.clear()


@contextlib.contextmanager
def progress_bars(console: Console, *, shown: bool, title: str = "") -> Iterator[ProgressDisplay]:
    """A display to report to; bars are drawn while the context is open if `shown` and on a terminal.

    They are called after their stages, or by `title` where the work has none.
    """
    if not (shown and console.is_terminal):
        yield ProgressDisplay()
        return
    columns = (
        SpinnerColumn("dots" if console.encoding.startswith("utf") else "line"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        _Amount(),
        _Pace(),
        TextColumn("{task.fields[detail]}", style="dim", markup=False),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield ProgressDisplay(bars, title=title)

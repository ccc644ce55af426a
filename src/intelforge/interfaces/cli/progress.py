"""Progress bars on the error stream: drawn on a terminal, absent everywhere else."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from intelforge.core.reports import Progress, Stage
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.wording import amount, duration

Report = Callable[[Progress], None]


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
    """One bar for every stage that has begun."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[Stage, TaskID] = {}

    def report(self, progress: Progress) -> None:
        if progress.stage is Stage.DONE:
            self._finish(None)
            return
        task = self._tasks.get(progress.stage)
        if task is None:
            self._finish(progress.stage)
            task = self._bars.add_task(progress.stage.value.capitalize(), total=None, progress=progress, detail="")
            self._tasks[progress.stage] = task
        detail = one_line(progress.detail, limit=30)
        self._bars.update(task, completed=progress.done, total=progress.total, progress=progress, detail=detail)

    def _finish(self, current: Stage | None) -> None:
        """A listing learns its total only by ending: once a later stage runs, its bar is full."""
        listing = self._tasks.get(Stage.LISTING)
        if listing is not None and current is not Stage.LISTING:
            done = self._bars.tasks[self._bars.task_ids.index(listing)].completed
            self._bars.update(listing, total=max(done, 1), completed=max(done, 1), detail="")


@contextlib.contextmanager
def progress_bars(console: Console, *, shown: bool) -> Iterator[Report]:
    """Gives the function to report to; bars are drawn while the context is open if `shown` and on a terminal."""
    if not (shown and console.is_terminal):
        yield lambda progress: None
        return
    columns = (
        SpinnerColumn(finished_text="✓" if console.encoding.startswith("utf") else "*"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        _Amount(),
        _Pace(),
        TextColumn("{task.fields[detail]}", style="dim", markup=False),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield ProgressDisplay(bars).report

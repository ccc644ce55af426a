"""Commands that bring the workspace up to date and say where it stands: `sync`, `status`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intelforge.core.errors import InvalidInputError
from intelforge.core.reports import SyncReport
from intelforge.interfaces.cli.session import Session, command
from intelforge.interfaces.cli.tables import render_status, render_sync

if TYPE_CHECKING:
    from intelforge.interfaces.cli.progress import ProgressDisplay
    from intelforge.workspace import Workspace


def register(app: typer.Typer) -> None:
    command(app)(sync)
    command(app)(status)


def sync(
    session: Session,
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE", help="Ids or URIs; all sources when none is named.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", metavar="", help="Go on, syncing whenever something changes.")
    ] = False,
    no_embed: Annotated[
        bool, typer.Option("--no-embed", metavar="", help="Only make texts searchable by words.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", metavar="", help="Try items again that failed before.")
    ] = False,
) -> None:
    """Collect what changed, make it searchable, embed it. Ctrl-C stops cleanly after the running batch.

    Example: intelforge sync --watch
    """
    if watch:
        if sources or no_embed or retry_failed:
            raise InvalidInputError("--watch takes every source as it is", hint="leave out the other arguments")
        session.use_until_stopped(lambda workspace, display: _watch(session, workspace, display), then="sync --watch")
        return
    session.use_until_stopped(
        lambda workspace, display: workspace.sync(
            *(sources or ()), embed=not no_embed, retry_failed=retry_failed, report=display.report
        ),
        lambda done: _finish(session, done),
        then="sync",
    )


def status(
    session: Session,
    skipped: Annotated[
        bool, typer.Option("--skipped", metavar="", help="List skipped items too, with the rule.")
    ] = False,
) -> None:
    """Show items by state, failures, and what is embedded.

    Example: intelforge status --skipped
    """
    now = session.use(lambda workspace: workspace.status(skipped=skipped))
    session.show(now, lambda: render_status(now, Path.cwd()))


async def _watch(session: Session, workspace: "Workspace", display: "ProgressDisplay") -> None:
    if session.errors.is_terminal and not session.json:
        session.say("syncing whenever something changes; Ctrl-C ends it")
    async for done in workspace.watch(report=display.report):
        with display.paused():
            _show(session, done)


def _finish(session: Session, done: SyncReport) -> None:
    _show(session, done)
    if done.errors:
        raise typer.Exit(1)


def _show(session: Session, done: SyncReport) -> None:
    session.show(done, lambda: render_sync(done))

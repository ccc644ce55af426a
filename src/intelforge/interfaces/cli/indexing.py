"""Commands for the index as a whole: its versions, moving it, checking it, carrying it away."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from intelforge.core.index_reports import BuildReport
from intelforge.interfaces.cli.confirming import DryRun, Yes, confirm
from intelforge.interfaces.cli.index_tables import (
    render_built,
    render_stats,
    render_transfer,
    render_tuning,
    render_verification,
    render_versions,
)
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.schema import DroppedVersion, IndexVersionsOutput, RollbackOutput, TuningOutput
from intelforge.interfaces.cli.session import Session, command, first_sentence, group

INDEX_HELP = """Look after the search index: versions, moving, checking, tuning. Without a further word, list versions.

Example: intelforge index
"""


def register(app: typer.Typer) -> None:
    index = typer.Typer(help=INDEX_HELP, short_help=first_sentence(INDEX_HELP))
    group(index)(versions)
    command(index, "versions")(versions)
    command(index, "stats")(stats)
    command(index, "verify")(verify)
    command(index, "tune")(tune)
    command(index, "rebuild")(rebuild)
    command(index, "rollback")(rollback)
    command(index, "migrate")(migrate)
    command(index, "drop")(drop)
    command(index, "export")(export)
    command(index, "import")(load)
    app.add_typer(index, name="index")


def versions(session: Session) -> None:
    """List the versions of the index: the one that answers, the one being built, the one before.

    Example: intelforge index versions
    """
    found = session.use(lambda workspace: workspace.index.versions())
    session.show(IndexVersionsOutput(versions=tuple(found)), lambda: render_versions(found))


def stats(session: Session) -> None:
    """Show how far the index has come, how fresh, how fast and how exact it is.

    Example: intelforge index stats
    """
    found = session.use(lambda workspace: workspace.index.stats())
    session.show(found, lambda: render_stats(found))


def verify(session: Session, dry_run: DryRun = False) -> None:
    """Hold the index against the database and mend what differs; the next sync makes vectors that were lost.

    Example: intelforge index verify --dry-run
    """
    found = session.use(lambda workspace: workspace.index.verify(dry_run=dry_run), doing="Comparing")
    session.show(found, lambda: render_verification(found))
    if dry_run and not found.agrees:
        raise typer.Exit(1)


def tune(session: Session, dry_run: DryRun = False) -> None:
    """Measure the vector search on a sample, choose its parameters, and say why. The index does so by itself too.

    Example: intelforge index tune --dry-run
    """
    found = session.use(lambda workspace: workspace.index.tune(apply=not dry_run), doing="Measuring")
    session.show(TuningOutput(tuning=found, applied=not dry_run), lambda: render_tuning(found, applied=not dry_run))


def rebuild(session: Session) -> None:
    """Build the index anew from the database; searches are answered from the old one meanwhile.

    Example: intelforge index rebuild
    """
    session.use_until_stopped(
        lambda workspace, display: workspace.index.rebuild(report=display.report),
        lambda done: _show_built(session, done),
        then="index rebuild",
    )


def migrate(
    session: Session,
    to: Annotated[str, typer.Option(metavar="URL", help="Where to: any URL that the setting index takes.")],
) -> None:
    """Move the index to another vector store. Every vector is held against its original before the change.

    Example: intelforge index migrate --to postgresql://me@localhost/intelforge
    """
    session.use_until_stopped(
        lambda workspace, display: workspace.index.migrate(to, report=display.report),
        lambda done: _show_built(session, done),
        then="index migrate --to URL",
    )


def rollback(session: Session) -> None:
    """Go back to the version before, at once, and set `index` and `embedder` back to what they were.

    Example: intelforge index rollback
    """
    live = session.use(lambda workspace: workspace.index.rollback())
    text = f"Version {live.number} answers again ({one_line(live.model or 'no vectors')} at {one_line(live.url)})."
    following = f"What changed since comes in with: {session.command('sync')}"
    session.show(RollbackOutput(version=live), lambda: Text(f"{text}\n{following}"))


def drop(
    session: Session,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The version, as index versions names it.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a version that does not answer, with all it holds.

    Example: intelforge index drop 1 --yes
    """
    found = session.use(lambda workspace: workspace.index.drop(number, dry_run=True))
    what = f"version {found.number} at {one_line(found.url)}"
    if not dry_run:
        confirm(session, f"Delete {what} of the index?", yes=yes)
        session.use(lambda workspace: workspace.index.drop(number))
    output = DroppedVersion(version=found, dropped=not dry_run)
    session.show(output, lambda: Text(f"Would delete {what}." if dry_run else f"Deleted {what}."))


def export(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The Parquet file to write.")],
) -> None:
    """Write the index to a Parquet file: every chunk with its text, its place and its vector.

    Example: intelforge index export knowledge.parquet
    """
    session.use_until_stopped(
        lambda workspace, display: workspace.index.export(file, report=display.report),
        lambda done: session.show(done, lambda: render_transfer(done, into_file=True)),
        then=f"index export {file}",
    )


def load(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file made by index export.")],
    dry_run: DryRun = False,
) -> None:
    """Take vectors from such a file for texts that are here and have none yet, instead of embedding them.

    Example: intelforge index import knowledge.parquet --dry-run
    """
    session.use_until_stopped(
        lambda workspace, display: workspace.index.load(file, dry_run=dry_run, report=display.report),
        lambda done: session.show(done, lambda: render_transfer(done, into_file=False, dry_run=dry_run)),
        then=f"index import {file}",
    )


def _show_built(session: Session, done: BuildReport) -> None:
    session.show(done, lambda: render_built(done))

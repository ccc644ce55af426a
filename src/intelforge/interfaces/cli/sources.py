"""Commands for where items come from: `add`, `sources list`, `sources set`, `sources remove`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.text import Text

from intelforge.core.reports import SourceStatus
from intelforge.core.values import SourceKind
from intelforge.interfaces.cli.confirming import DryRun, Yes, confirm
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.schema import AddOutput, RemoveOutput, SourceOutput, SourcesOutput
from intelforge.interfaces.cli.session import Session, command, first_sentence, group
from intelforge.interfaces.cli.tables import render_added, render_sources
from intelforge.interfaces.cli.wording import counts

if TYPE_CHECKING:
    from intelforge.workspace import Workspace

SOURCES_HELP = """List, change and remove sources. Without a further word, list them.

Example: intelforge sources
"""


def register(app: typer.Typer) -> None:
    command(app)(add)
    sources = typer.Typer(help=SOURCES_HELP, short_help=first_sentence(SOURCES_HELP))
    group(sources)(list_sources)
    command(sources, "list")(list_sources)
    command(sources, "set")(set_source)
    command(sources, "remove")(remove)
    app.add_typer(sources, name="sources")


def add(
    session: Session,
    locations: Annotated[
        list[str], typer.Argument(metavar="PATH_OR_URL", help="Folders, files, git repositories or web pages.")
    ],
    kind: Annotated[SourceKind | None, typer.Option(help="Say what it is instead of having it recognised.")] = None,
    local_models_only: Annotated[
        bool, typer.Option("--local-models-only", metavar="", help="What they hold may go to no model elsewhere.")
    ] = False,
) -> None:
    """Add folders, files, git repositories or web pages. The next sync collects them.

    Example: intelforge add ./docs https://example.com/handbook
    """
    added = session.use(
        lambda workspace: workspace.add(
            *locations, kind=kind.value if kind else None, local_models_only=local_models_only
        )
    )
    following = Text(f"Next: {session.command('sync')}", style="dim")
    session.show(AddOutput(sources=tuple(added)), lambda: Group(render_added(added, Path.cwd()), following))


def list_sources(session: Session) -> None:
    """List sources, their items by state, and their last sync.

    Example: intelforge sources list
    """
    sources = session.use(lambda workspace: workspace.sources())
    session.show(SourcesOutput(sources=tuple(sources)), lambda: render_sources(sources, Path.cwd()))


def set_source(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="ID_OR_URI", help="The source, as sources list names it.")],
    local_models_only: Annotated[
        bool,
        typer.Option(
            "--local-models-only/--any-models", metavar="", help="Whether what it holds may go to no model elsewhere."
        ),
    ],
) -> None:
    """Say whether what a source holds may only go to models on this machine. It holds from the next request on.

    Example: intelforge sources set ./contracts --local-models-only
    """
    changed = session.use(lambda workspace: workspace.limit_models(source, local_only=local_models_only))
    where = "may only go to models on this machine" if changed.local_models_only else "may go to any model"
    session.show(SourceOutput(source=changed), lambda: Text(f"What {one_line(changed.uri)} holds {where}."))


def remove(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="ID_OR_URI", help="The source, as sources list names it.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a source and its documents. The original files stay as they are.

    Example: intelforge sources remove ./docs --dry-run
    """
    found = session.use(lambda workspace: _find(workspace, source))
    what = f"{one_line(found.source.uri)} ({counts(found.items) or 'no items'})"
    if not dry_run:
        confirm(session, f"Remove {what} from the workspace?", yes=yes)
        session.use(lambda workspace: workspace.remove(found.source.id))
    output = RemoveOutput(source=found, removed=not dry_run)
    session.show(output, lambda: Text(f"Would remove {what}." if dry_run else f"Removed {what}."))


async def _find(workspace: "Workspace", source: str) -> SourceStatus:
    wanted = await workspace.find_source(source)
    return next(status for status in await workspace.sources() if status.source.id == wanted.id)

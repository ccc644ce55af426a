"""Commands for the router: what it knows, holding it still, carrying it away, asking its log what would have been."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from intelforge.core.routing import RouterStatus
from intelforge.interfaces.cli.confirming import DryRun, Yes, confirm
from intelforge.interfaces.cli.routing_tables import render_replay, render_router
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.session import Session, command, first_sentence, group
from intelforge.interfaces.cli.wording import amount

ROUTER_HELP = """Look after what chooses a model for each request. Without a further word, show what it knows.

Example: intelforge router
"""


def register(app: typer.Typer) -> None:
    router = typer.Typer(help=ROUTER_HELP, short_help=first_sentence(ROUTER_HELP))
    group(router)(show)
    command(router, "show")(show)
    command(router, "freeze")(freeze)
    command(router, "unfreeze")(unfreeze)
    command(router, "export")(export)
    command(router, "import")(load)
    command(router, "rate")(rate)
    command(router, "replay")(replay)
    app.add_typer(router, name="router")


def show(session: Session) -> None:
    """Show what the router knows of each model: quality, latency, price, and what changed.

    Example: intelforge router show
    """
    _show(session, session.use(lambda workspace: workspace.routing.status()))


def freeze(session: Session) -> None:
    """Let the router decide by what it knows now: it learns nothing more and tries nothing out.

    Example: intelforge router freeze
    """
    _show(session, session.use(lambda workspace: workspace.routing.freeze()))


def unfreeze(session: Session) -> None:
    """Let the router learn and try models out again.

    Example: intelforge router unfreeze
    """
    _show(session, session.use(lambda workspace: workspace.routing.unfreeze()))


def export(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
) -> None:
    """Write all that the router has learned to a file of numbers, without the words of any request.

    Example: intelforge router export router.npz
    """
    found = session.use(lambda workspace: workspace.routing.export(file))
    said = f"Wrote {_learned(found)} to {one_line(str(file))}."
    session.show(found, lambda: Text(said))


def load(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file made by router export.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Put what such a file holds in place of what the router has learned here.

    Example: intelforge router import router.npz --dry-run
    """
    found = session.use(lambda workspace: workspace.routing.load(file, dry_run=True))
    what = f"{_learned(found)} with {one_line(str(file))}"
    if dry_run:
        session.show(found, lambda: Text(f"Would replace {what}."))
        return
    confirm(session, f"Replace {what}?", yes=yes)
    _show(session, session.use(lambda workspace: workspace.routing.load(file)))


def rate(
    session: Session,
    call: Annotated[str, typer.Argument(metavar="CALL", help="The id in the decision that came with a reply.")],
    quality: Annotated[float, typer.Argument(min=0, max=1, help="From 0, of no use, to 1.")],
    evaluation: Annotated[bool, typer.Option("--evaluation", help="It was measured, which counts more.")] = False,
) -> None:
    """Say how good a reply was: the router learns from it.

    Example: intelforge router rate 7f3a9c21 0.9
    """
    _show(session, session.use(lambda workspace: workspace.routing.rate(call, quality, evaluation=evaluation)))


def replay(
    session: Session,
    log: Annotated[
        Path | None,
        typer.Argument(
            metavar="LOG",
            help="JSON lines with text, model, propensity and quality; else the calls on record.",
            show_default=False,
        ),
    ] = None,
    preference: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFERENCE", help="A preference to try, again for more; else each of the known ones."),
    ] = None,
) -> None:
    """Say what other policies would have scored on logged calls, with 95 % intervals.

    Example: intelforge router replay calls.jsonl --preference cheap
    """
    found = session.use(
        lambda workspace: workspace.routing.replay(log, preferences=tuple(preference or ())), doing="Replaying"
    )
    session.show(found, lambda: render_replay(found))


def _learned(found: RouterStatus) -> str:
    return f"what the router learned from {amount(found.requests, 'requests')}"


def _show(session: Session, found: RouterStatus) -> None:
    session.show(found, lambda: render_router(found))

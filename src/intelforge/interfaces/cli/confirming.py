"""What destroys something asks first, and can be tried without doing it."""

from typing import Annotated

import typer

from intelforge.core.errors import InvalidInputError
from intelforge.interfaces.cli.session import Session

DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask.")]


def confirm(session: Session, question: str, *, yes: bool) -> None:
    """Returns when the reader agrees. Raises InvalidInputError when nobody can be asked, Exit on a no."""
    if yes:
        return
    if session.json or not session.errors.is_terminal:
        raise InvalidInputError("this needs a yes, and nobody can be asked here", hint="add --yes or --dry-run")
    if not typer.confirm(question, err=True):
        session.say("nothing was done")
        raise typer.Exit(1)

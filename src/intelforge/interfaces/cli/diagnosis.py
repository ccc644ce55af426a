"""The command that finds what is wrong: `doctor`."""

import typer

from intelforge.core.errors import IntelForgeError
from intelforge.core.reports import Check
from intelforge.interfaces.cli.schema import DoctorOutput
from intelforge.interfaces.cli.session import Session, command
from intelforge.interfaces.cli.tables import render_checks


def register(app: typer.Typer) -> None:
    command(app)(doctor)


def doctor(session: Session) -> None:
    """Check what could be wrong, and say how to mend it.

    Example: intelforge doctor
    """
    checks = _checks(session)
    healthy = all(check.ok for check in checks if check.required)
    session.show(DoctorOutput(ok=healthy, checks=tuple(checks)), lambda: render_checks(checks))
    if not healthy:
        raise typer.Exit(1)


def _checks(session: Session) -> list[Check]:
    """The workspace's own checks; a workspace that cannot even be opened is the finding."""
    try:
        return session.run(lambda: session.open().doctor())
    except IntelForgeError as error:
        return [Check(name="workspace", ok=False, detail=error.message, fix=error.hint)]

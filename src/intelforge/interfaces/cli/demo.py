"""The command that shows the main job on what every Python has: its standard library and installed READMEs."""

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intelforge.interfaces.cli.session import Session, command

if TYPE_CHECKING:
    from intelforge.interfaces.cli.progress import ProgressDisplay
    from intelforge.interfaces.cli.schema import DemoOutput
    from intelforge.workspace import Workspace


def register(app: typer.Typer) -> None:
    command(app)(demo)


def demo(
    session: Session,
    path: Annotated[Path, typer.Option(metavar="PATH", help="The workspace to make, and to leave.")] = Path(
        "demo-workspace"
    ),
    budget: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Stop embedding after this long.")] = 210,
) -> None:
    """See it work on this Python's own library and READMEs.

    It indexes both and answers three questions as soon as the text is searchable, while embedding goes on. At the end
    it checks every citation.

    Example: intelforge demo --path ./demo-workspace
    """
    # Imported late, so that the help of other commands need not wait for it.
    from intelforge.interfaces.cli.demonstration import Demonstration, prepare, render_demo

    deadline = time.monotonic() + budget
    folder, notes = prepare(session, path)
    at_demo = dataclasses.replace(session, folder=path)

    async def demonstrated(workspace: "Workspace", display: "ProgressDisplay") -> "DemoOutput":
        return await Demonstration(at_demo, workspace, display, deadline).run(folder, notes)

    at_demo.use_until_stopped(
        demonstrated, lambda output: session.show(output, lambda: render_demo(at_demo, output)), then="sync"
    )

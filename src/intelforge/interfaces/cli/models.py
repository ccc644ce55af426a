"""Commands for language models, beside those for embedding models in `setup`."""

from typing import Annotated

import typer

from intelforge.interfaces.cli.schema import ModelChecksOutput
from intelforge.interfaces.cli.session import Session, command
from intelforge.interfaces.cli.tables import render_model_checks


def register(models: typer.Typer) -> None:
    """Adds them to the group `models`."""
    command(models, "check")(check)


def check(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME…", help="Language models as the setting llm names them; else that of the setting."
        ),
    ] = None,
) -> None:
    """Check that language models can be reached, take the key and are there, and show what they can do.

    Example: intelforge models check openai:gpt-4o-mini ollama:qwen3:8b
    """
    checks = tuple(session.use(lambda workspace: workspace.check_models(*(names or ())), doing="Asking"))
    output = ModelChecksOutput(ok=all(one.ok for one in checks), checks=checks)
    session.show(output, lambda: render_model_checks(checks))
    if not output.ok:
        raise typer.Exit(1)

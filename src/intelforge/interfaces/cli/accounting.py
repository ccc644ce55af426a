"""For whom a command works: budgets and cost reports go by these names. They do not decide what may be seen."""

from typing import Annotated

import typer

from intelforge.core.chat import Accounting

User = Annotated[
    str, typer.Option("--user", metavar="NAME", help="Whom model calls are for, in costs, budgets and kept replies.")
]
Team = Annotated[str, typer.Option("--team", metavar="NAME", help="The team they are for.")]
Run = Annotated[str, typer.Option("--run", metavar="NAME", help="The agent run they are for.")]


def accounting(user: str, team: str, run: str) -> Accounting:
    """Surrounding spaces are no part of a name."""
    return Accounting(user=user.strip(), team=team.strip(), run=run.strip())

"""Commands for money: what model calls cost, and what they may cost."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from intelforge.core.clock import utc_now
from intelforge.core.cost_report import CostQuery, Dimension, Step, moment_of
from intelforge.core.costs import Budget, Period, Scope
from intelforge.core.errors import InvalidInputError
from intelforge.interfaces.cli.confirming import DryRun, Yes, confirm
from intelforge.interfaces.cli.cost_tables import budget_words, render_budgets, render_costs
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.schema import BudgetOutput, BudgetsOutput, CostOutput, RemovedBudget
from intelforge.interfaces.cli.session import Session, command, first_sentence, group

BUDGET_HELP = """Say what model calls may cost. Without a further word, list the budgets and how far they are used.

Example: intelforge budget
"""
Name = str | None


def register(app: typer.Typer) -> None:
    command(app)(cost)
    budget = typer.Typer(help=BUDGET_HELP, short_help=first_sentence(BUDGET_HELP))
    group(budget)(list_budgets)
    command(budget, "list")(list_budgets)
    command(budget, "set")(set_budget)
    command(budget, "remove")(remove_budget)
    app.add_typer(budget, name="budget")


def cost(
    session: Session,
    *,
    by: Annotated[
        list[Dimension] | None, typer.Option("--by", metavar="WHAT", help="Tell apart by this; may be given again.")
    ] = None,
    per: Annotated[
        Step | None, typer.Option("--per", metavar="STEP", help="Tell apart in time: hour, day, week or month.")
    ] = None,
    since: Annotated[
        Name, typer.Option(metavar="TIME", help="24h, 7d, 4w or a date, in UTC; else the beginning of this month.")
    ] = None,
    until: Annotated[Name, typer.Option(metavar="TIME", help="The same; else now.")] = None,
    user: Annotated[Name, typer.Option(metavar="NAME", help="Of this user.")] = None,
    team: Annotated[Name, typer.Option(metavar="NAME", help="Of this team.")] = None,
    run: Annotated[Name, typer.Option(metavar="NAME", help="Of this agent run.")] = None,
    model: Annotated[Name, typer.Option(metavar="NAME", help="Of PROVIDER:MODEL.")] = None,
    provider: Annotated[Name, typer.Option(metavar="NAME", help="Of this provider.")] = None,
    purpose: Annotated[Name, typer.Option(metavar="NAME", help="For this purpose.")] = None,
    kind: Annotated[Name, typer.Option(metavar="NAME", help="chat, completion, embedding, reranking, image.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write all rows to a CSV file.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many rows at most.")] = 30,
) -> None:
    """Show what model calls cost, beside the period before, with a forecast to the month's end and the budgets.

    WHAT is user, team, run, model, provider, purpose or kind.

    Example: intelforge cost --by model --by user --since 7d --csv costs.csv
    """
    now = utc_now()
    names = (user, team, run, model, provider, purpose, kind)
    query = CostQuery(
        by=tuple(by or (() if per else (Dimension.MODEL,))),
        per=per,
        since=moment_of(since, now) if since else None,
        until=moment_of(until, now) if until else None,
        only={dimension: name for dimension, name in zip(Dimension, names, strict=True) if name is not None},
        limit=limit,
    )
    report = session.use(lambda workspace: workspace.costs.export(csv, query) if csv else workspace.costs.report(query))
    written = len(report.rows) + report.left_out if csv else 0
    output = CostOutput(report=report, csv=str(csv or ""), written=written)
    session.show(output, lambda: render_costs(output))


def list_budgets(session: Session) -> None:
    """List the budgets, and how far each is used in its present period.

    Example: intelforge budget list
    """
    found = session.use(lambda workspace: workspace.costs.budgets())
    session.show(BudgetsOutput(budgets=tuple(found)), lambda: render_budgets(found))


def set_budget(
    session: Session,
    limit: Annotated[float, typer.Argument(metavar="USD", min=0.0, help="The most that may be spent, in US dollars.")],
    *,
    per: Annotated[Period, typer.Option("--per", metavar="PERIOD", help="hour, day, month (in UTC) or total.")],
    user: Annotated[str, typer.Option(metavar="NAME", help="Of this user.")] = "",
    team: Annotated[str, typer.Option(metavar="NAME", help="Of this team.")] = "",
    run: Annotated[str, typer.Option(metavar="NAME", help="Of this agent run.")] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="Of PROVIDER:MODEL.")] = "",
    warn: Annotated[bool, typer.Option("--warn", metavar="", help="Only tell of it; refuse no call.")] = False,
    at: Annotated[str, typer.Option("--at", metavar="PERCENTS", help="Raise an alert at these percents.")] = (
        "50,80,100"
    ),
) -> None:
    """Make a budget, or give the one of the same period and names another limit. It holds at once, for all processes.

    Without names it is of the whole workspace. The name '*' makes it one for each user, team, run or model alone. A
    call that could go beyond it is refused before it is made. What was spent in this period already counts.

    Example: intelforge budget set --per day --user ann 5.00 --at 50,80,100
    """
    budget = Budget(
        scope=Scope(user=user, team=team, run=run, model=model),
        period=per,
        limit_usd=limit,
        hard=not warn,
        thresholds=parse_percents(at),
    )
    made = session.use(lambda workspace: workspace.costs.set_budget(budget))
    session.show(BudgetOutput(budget=made), lambda: Text(f"Set: {budget_words(made)}."))


def remove_budget(
    session: Session,
    budget: Annotated[str, typer.Argument(metavar="ID", help="The budget, as budget list names it.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a budget with its alerts. What was spent stays on record.

    Example: intelforge budget remove 3f2a --dry-run
    """
    found = session.use(lambda workspace: workspace.costs.remove_budget(budget, dry_run=True))
    what = budget_words(found)
    if not dry_run:
        confirm(session, f"Remove the budget of {what}?", yes=yes)
        session.use(lambda workspace: workspace.costs.remove_budget(found.id))
    output = RemovedBudget(budget=found, removed=not dry_run)
    session.show(output, lambda: Text(f"Would remove: {what}." if dry_run else f"Removed: {what}."))


def parse_percents(text: str) -> tuple[int, ...]:
    """`50,80,100` gives (50, 80, 100); nothing gives none. Raises InvalidInputError."""
    parts = [part.strip().removesuffix("%").strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and len(part) <= 4 for part in parts):
        raise InvalidInputError(f"{one_line(text)!r} are no percents", hint="write them like 50,80,100")
    return tuple(sorted({int(part) for part in parts}))

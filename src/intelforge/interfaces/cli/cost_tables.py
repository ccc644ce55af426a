"""Costs and budgets, for reading."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from intelforge.core.cost_report import CostReport, CostRow, Exactness, Forecast
from intelforge.core.costs import Alert, Budget, BudgetStatus, Standing
from intelforge.core.money import dollars
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.schema import CostOutput
from intelforge.interfaces.cli.tables import SHORT_ID, moment, new_table
from intelforge.interfaces.cli.wording import amount

NUMBERS = ("Calls", "Input", "Output", "Cost", "Share", "Change")
SUBJECTS_SHOWN = 10
"""of a budget of each"""
NEAR, FULL = 0.8, 1.0
"""shares of a limit at which a row is coloured"""


def render_costs(output: CostOutput) -> RenderableType:
    """The total and how well it is known, rows, the forecast, budgets, alerts."""
    report = output.report
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(report):
        facts.add_row(name, Text(value))
    parts: list[RenderableType] = [facts]
    if report.rows:
        parts += [Text(), _rows(report)]
    if report.left_out:
        parts.append(Text(f"and {amount(report.left_out, 'rows')} more: --limit, or --csv FILE", style="dim"))
    if report.budgets:
        parts += [Text(), render_budgets(report.budgets)]
    parts += [Text(f"Alert: {_alert(alert)}", style="yellow") for alert in report.alerts]
    parts += [Text(f"Note: {one_line(note)}", style="yellow") for note in report.notes]
    if output.csv:
        parts.append(Text(f"Wrote {amount(output.written, 'rows')} to {one_line(output.csv)}.", style="dim"))
    return Group(*parts)


def render_budgets(budgets: Sequence[BudgetStatus]) -> RenderableType:
    """A row for each, or for each of those it counts alone."""
    if not budgets:
        return Text("No budgets yet. Make one: intelforge budget set --per day 5.00")
    table = new_table("Budget", "Of", "Limit", numbers=("Spent", "Used"))
    table.add_column("Begins anew", overflow="fold")
    for status in budgets:
        for standing in status.standings[:SUBJECTS_SHOWN]:
            _add_standing(table, status.budget, standing)
        if not status.standings:
            table.add_row(*_named(status.budget, Text(one_line(str(status.budget.scope)))))
        if len(status.standings) > SUBJECTS_SHOWN:
            table.add_row("", f"and {len(status.standings) - SUBJECTS_SHOWN:,} more: --json")
    return table


def budget_words(budget: Budget) -> str:
    """`user ann, $5.00 per day`."""
    kind = "" if budget.hard else ", a warning only"
    at = f", alerts at {', '.join(map(str, budget.thresholds))} %" if budget.thresholds else ""
    return f"{one_line(str(budget.scope))}, {_limit(budget)}{kind}{at}"


def _limit(budget: Budget) -> str:
    """`$5.00 per day`."""
    per = "in total" if budget.period.value == "total" else f"per {budget.period.value}"
    return f"{dollars(budget.limit_usd)} {per}"


def _facts(report: CostReport) -> list[tuple[str, str]]:
    total, exact = report.total, report.exactness
    only = ", ".join(f"{name} {one_line(value)}" for name, value in report.only.items())
    before = f"; {dollars(total.before_usd or 0.0)} in the period before{_in_brackets(total.change)}"
    tokens = f"{total.input_tokens:,} read, {total.output_tokens:,} written"
    cached = f"; {total.cache_read_tokens:,} of those read from a cache" if total.cache_read_tokens else ""
    failed = f", {total.failed:,} failed" if total.failed else ""
    facts = [
        ("Time", f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC"),
        *([("Only", only)] if only else []),
        ("Cost", f"{dollars(total.cost_usd)}{before}"),
        ("Calls", f"{total.calls:,}{failed}"),
        ("Tokens", f"{tokens}{cached}"),
        *_exactness(exact),
    ]
    return [*facts, ("Month", _month(report.forecast))] if report.forecast else facts


def _exactness(exact: Exactness) -> list[tuple[str, str]]:
    under_way = f"{amount(exact.open_calls, 'calls')}, {dollars(exact.reserved_usd)} reserved"
    estimated = f"{amount(exact.estimated, 'calls')} charged what was reserved: their cost is not known"
    unpriced = f"{amount(exact.unpriced, 'calls')} counted as nothing: their price is not known"
    overruns = f"{amount(exact.overruns, 'calls')} cost {dollars(exact.overrun_usd)} more than was reserved"
    told = (
        (exact.open_calls, "Under way", under_way),
        (exact.estimated, "Estimated", estimated),
        (exact.unpriced, "Unpriced", unpriced),
        (exact.overruns, "Overruns", overruns),
    )
    return [(name, text) for number, name, text in told if number]


def _month(forecast: Forecast) -> str:
    so_far = f"{dollars(forecast.spent_usd)} so far"
    if forecast.expected_usd is None or forecast.low_usd is None or forecast.high_usd is None:
        return f"{so_far}; {one_line(forecast.method)}"
    between = f"{dollars(forecast.low_usd)} to {dollars(forecast.high_usd)}"
    return f"{so_far}; about {dollars(forecast.expected_usd)} at its end ({between}): {one_line(forecast.method)}"


def _rows(report: CostReport) -> RenderableType:
    """The names of a row share a column: each in one of its own would leave none of them room."""
    first = report.rows[0]
    names = ", ".join(first.group).capitalize()
    table = new_table(*(["Time"] if first.period else []), *([names] if names else []), numbers=NUMBERS)
    if first.period:
        table.columns[0].no_wrap = True
    for row in report.rows:
        whom = ", ".join(map(_nobody, row.group.values()))
        table.add_row(*([row.period] if first.period else []), *([whom] if names else []), *_numbers(row))
    return table


def _numbers(row: CostRow) -> tuple[str, ...]:
    return (
        f"{row.calls:,}",
        f"{row.input_tokens:,}",
        f"{row.output_tokens:,}",
        dollars(row.cost_usd),
        f"{row.share:.0%}",
        "new" if row.before_usd == 0 and row.cost_usd else _change(row.change),
    )


def _add_standing(table: Table, budget: Budget, standing: Standing) -> None:
    used = (standing.spent_usd + standing.reserved_usd) / budget.limit_usd if budget.limit_usd else FULL
    style = "red" if used >= FULL else "yellow" if used >= NEAR else ""
    whom = ", ".join(f"{name} {value}" for name, value in standing.subject.items()) or str(budget.scope)
    besides = [f"{dollars(standing.reserved_usd)} reserved"] if standing.reserved_usd else []
    besides += [f"{standing.refused:,} refused"] if standing.refused else []
    table.add_row(
        *_named(budget, Text.assemble(one_line(whom), *((f"\n{fact}", "dim") for fact in besides))),
        dollars(standing.spent_usd),
        Text(f"{used:.0%}", style=style),
        moment(standing.window.end) if standing.window.end else "never",
    )


def _named(budget: Budget, whom: Text) -> tuple[str, Text, str]:
    return budget.id[:SHORT_ID], whom, _limit(budget) + ("" if budget.hard else " (warns)")


def _alert(alert: Alert) -> str:
    whom = ", ".join(f"{name} {value}" for name, value in alert.subject.items()) or str(alert.budget.scope)
    reached = f"reached {alert.threshold} % of {dollars(alert.limit_usd)} per {alert.budget.period.value}"
    return f"{moment(alert.at)}: {one_line(whom)} {reached} ({one_line(alert.window)})"


def _nobody(name: str) -> str:
    return one_line(name) or "(none)"


def _change(change: float | None) -> str:
    return "" if change is None else f"{change:+.0%}"


def _in_brackets(change: float | None) -> str:
    return "" if change is None else f" ({_change(change)})"

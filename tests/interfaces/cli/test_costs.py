import io
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from intelforge.core.clock import utc_now
from intelforge.core.cost_report import CostQuery, Dimension, Step
from intelforge.core.costs import Budget, Period, Scope
from intelforge.core.errors import BudgetError
from intelforge.core.money import dollars
from intelforge.interfaces.cli.cost_tables import render_costs
from intelforge.interfaces.cli.errors import as_known
from intelforge.interfaces.cli.schema import CostOutput
from intelforge.testing.costs import ANN, REPORT, STATUSES
from intelforge.testing.terminal import Terminal


def lines(terminal: Terminal) -> list[str]:
    return [" ".join(line.split()) for line in terminal.out.splitlines()]


def test_costs_show_the_total_its_doubts_the_rows_the_forecast_the_budgets_and_the_alerts(terminal: Terminal) -> None:
    assert terminal.run("cost") == 0
    shown = lines(terminal)
    for line in (
        "Time 2026-05-01 00:00 to 2026-05-04 12:00 UTC",
        "Cost $12.50; $10.00 in the period before (+25%)",
        "Calls 1,200, 12 failed",
        "Tokens 2,000,000 read, 300,000 written; 400,000 of those read from a cache",
        "Under way 2 calls, $0.25 reserved",
        "Estimated 3 calls charged what was reserved: their cost is not known",
        "Unpriced 4 calls counted as nothing: their price is not known",
        "Overruns 1 call cost $0.50 more than was reserved",
        "Model Calls Input Output Cost Share Change",
        "openai:gpt-5 1,200 2,000,000 300,000 $12.50 75% +25%",
        "(none) 1,200 2,000,000 300,000 $0.0042 0% new",
        "Note: the workspace's budget of $20.00 per month lasts until about 2026-05-11",
    ):
        assert line in shown
    month = "Month $12.50 so far; about $96.00 at its end ($80.00 to $115.00): the mean of each weekday"
    assert any(line.startswith(month) for line in shown)
    assert any(line.endswith("user ann reached 80 % of $5.00 per day (2026-05-04)") for line in shown)


def test_a_long_name_takes_no_room_from_the_numbers() -> None:
    name = "compatible:models.example.com:8443/qwen3-coder-480b"
    (status, _), row = STATUSES, replace(REPORT.rows[0], group={"model": name}, cost_usd=1234.5678)
    budget = replace(status, budget=replace(ANN, scope=Scope(model=name), limit_usd=1234.5))
    shown = io.StringIO()
    Console(file=shown, width=80).print(
        render_costs(CostOutput(report=replace(REPORT, rows=(row,), budgets=(budget,)), csv="", written=0))
    )
    words = shown.getvalue().split()
    assert {"2,000,000", "300,000", dollars(1234.5678), dollars(1234.5)} <= {*words}
    assert name in "".join(word for word in words if word in name)


def test_costs_are_told_apart_and_filtered_as_asked(terminal: Terminal) -> None:
    options = "--by user --by model --model openai:x --user ann --kind chat --since 7d --until 2026-05-04 --limit 3"
    before = utc_now()
    assert terminal.run("cost", *options.split()) == 0
    [(_, query)] = terminal.workspace.costs.calls
    assert isinstance(query, CostQuery)
    assert query.by == (Dimension.USER, Dimension.MODEL)
    assert query.only == {Dimension.USER: "ann", Dimension.MODEL: "openai:x", Dimension.KIND: "chat"}
    assert query.since
    assert before <= query.since + timedelta(days=7) <= utc_now()
    assert (query.until, query.limit, query.per) == (datetime(2026, 5, 4, tzinfo=UTC), 3, None)


def test_costs_are_by_model_unless_they_are_by_time(terminal: Terminal) -> None:
    for options in ((), ("--per", "day"), ("--per", "week", "--by", "team")):
        assert terminal.run("cost", *options) == 0
    queries = [query for _, query in terminal.workspace.costs.calls]
    assert [(query.by, query.per) for query in queries] == [
        ((Dimension.MODEL,), None),
        ((), Step.DAY),
        ((Dimension.TEAM,), Step.WEEK),
    ]


@pytest.mark.parametrize("options", [("--by", "colour"), ("--per", "year"), ("--since", "soon"), ("--limit", "0")])
def test_what_makes_no_sense_is_refused(terminal: Terminal, options: tuple[str, ...]) -> None:
    assert terminal.run("cost", *options) == 2
    assert terminal.err.startswith("error: ")
    assert "Value error" not in terminal.err
    assert not terminal.workspace.costs.calls


def test_rows_go_to_a_file(terminal: Terminal) -> None:
    assert terminal.run("cost", "--csv", "costs.csv") == 0
    assert terminal.workspace.costs.calls[-1] == ("export", Path("costs.csv"))
    assert "Wrote 2 rows to costs.csv." in terminal.out
    found = terminal.json("cost", "--csv", "costs.csv")
    assert (found["csv"], found["written"], found["report"]["total"]["cost_usd"]) == ("costs.csv", 2, 12.5)


def test_budgets_are_listed_with_how_far_they_are_used(terminal: Terminal) -> None:
    for words in (("budget",), ("budget", "list")):
        assert terminal.run(*words) == 0
        shown = lines(terminal)
        assert any(line.startswith("3f2a7777 user ann $5.00 per day $4.25 90% ") for line in shown)
        assert {"$0.25 reserved", "3 refused"} <= {*shown}
        assert any(line.startswith("9b1c user ann $20.00 per month (warns) $12.50 62% ") for line in shown)
        assert any(line.startswith("9b1c user bob $20.00 per month (warns) $0.0042 0% ") for line in shown)
    assert terminal.json("budget")["budgets"][0]["standings"][0]["refused"] == 3
    terminal.workspace.costs.statuses = ()
    assert terminal.run("budget") == 0
    assert terminal.out == "No budgets yet. Make one: intelforge budget set --per day 5.00\n"


def test_a_budget_is_set_as_asked(terminal: Terminal) -> None:
    assert terminal.run("budget", "set", "--per", "day", "--user", "ann", "5.00", "--warn", "--at", "100, 50%") == 0
    assert terminal.workspace.costs.calls == [
        ("set", Budget(scope=Scope(user="ann"), period=Period.DAY, limit_usd=5.0, hard=False, thresholds=(50, 100)))
    ]
    assert terminal.out == "Set: user ann, $5.00 per day, a warning only, alerts at 50, 100 %.\n"
    assert terminal.json("budget", "set", "--per", "total", "5", "--at", "")["budget"]["thresholds"] == []


@pytest.mark.parametrize(
    "words", [("--per", "year", "5"), ("5",), ("--per", "day", "much"), ("--per", "day", "5", "--at", "half")]
)
def test_a_budget_that_makes_no_sense_is_not_set(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.run("budget", "set", *words) == 2
    assert not terminal.workspace.costs.calls


def test_removing_asks_and_a_dry_run_removes_nothing(terminal: Terminal) -> None:
    assert terminal.run("budget", "remove", "3f2a") == 2
    assert "add --yes or --dry-run" in terminal.err
    assert terminal.run("budget", "remove", "3f2a", "--dry-run") == 0
    assert terminal.out == "Would remove: user ann, $5.00 per day, alerts at 50, 80, 100 %.\n"
    assert ("remove", "3f2a77777777", False) not in terminal.workspace.costs.calls
    assert terminal.json("budget", "remove", "3f2a", "--yes")["removed"] is True
    assert ("remove", "3f2a77777777", False) in terminal.workspace.costs.calls


def test_the_command_of_a_refusal_can_be_run(terminal: Terminal) -> None:
    budget = Budget(scope=Scope(user="ann b", model="*"), period=Period.HOUR, limit_usd=5.0)
    _, *words = shlex.split(budget.command("10.00"))
    assert terminal.run(*words) == 0
    [(_, made)] = terminal.workspace.costs.calls
    assert (made.scope, made.period, made.limit_usd) == (budget.scope, budget.period, 10.0)


def test_over_budget_has_its_exit_code() -> None:
    assert as_known(BudgetError("no room")).exit_code == 25

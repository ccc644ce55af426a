"""Costs and budgets of a workspace, on real databases."""

import asyncio
import csv
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from intelforge import Workspace
from intelforge.core.chat import Accounting
from intelforge.core.cost_report import CostQuery, Dimension, Step
from intelforge.core.costs import Budget, Period, Scope
from intelforge.core.errors import (
    BudgetError,
    ConfigError,
    ErrorCode,
    InvalidInputError,
    ModelError,
    NotFoundError,
    StorageError,
)
from intelforge.costs import Costs
from intelforge.models.ledger import Kind, Ledger
from intelforge.store.cost_sums import CostSums
from intelforge.store.database import Database

LEAN = 'embedder = "none:"\nllm = "none:"\njobs = "memory:"\nworkers = 1\n'
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)

DIES = """
import asyncio, sys
from intelforge.core.chat import Accounting
from intelforge.workspace import Workspace

async def main():
    async with Workspace.open(sys.argv[1]) as workspace:
        async with workspace._parts.ledger.call("openai:m", accounting=Accounting(), reserve_usd=0.25):
            print("calling", flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


class Books:
    """A workspace whose calls are entered at any time."""

    def __init__(self, workspace: Workspace) -> None:
        self.parts = workspace._parts
        self.now = NOW
        self.costs = Costs(self.parts, clock=lambda: NOW + timedelta(seconds=1))
        self.ledger = Ledger(self.parts.calls, clock=lambda: self.now)

    async def spend(
        self, cost: float | None, *, days: float = 0, model: str = "openai:m", kind: Kind = "chat", **accounting: str
    ) -> None:
        self.now = NOW - timedelta(days=days)
        whom = Accounting(**accounting)
        async with self.ledger.call(model, accounting=whom, kind=kind, reserve_usd=max(cost or 0.0, 0.5)) as usage:
            usage.input_tokens, usage.output_tokens, usage.cost_usd = 10, 5, cost


@pytest.fixture
def root(tmp_path: Path, migrated_url: str, emptied: Database) -> Path:
    folder = Workspace.init(tmp_path / "workspace")
    (folder / "intelforge.toml").write_text(f'{LEAN}database = "{migrated_url}"\n')
    return folder


@pytest.fixture
async def books(root: Path) -> AsyncIterator[Books]:
    async with Workspace.open(root) as workspace:
        yield Books(workspace)


async def test_costs_are_told_apart_by_any_names_and_filtered(books: Books) -> None:
    await books.spend(1.0, user="ann", team="sales", run="r1", purpose="answer")
    await books.spend(2.0, user="ann", model="groq:n", kind="embedding")
    await books.spend(4.0, user="bob", team="sales")
    by_user = await books.costs.report(CostQuery(by=(Dimension.USER,)))
    assert [(row.group["user"], row.cost_usd, row.calls) for row in by_user.rows] == [("bob", 4.0, 1), ("ann", 3.0, 2)]
    assert (by_user.total.cost_usd, by_user.total.calls, by_user.total.input_tokens) == (7.0, 3, 30)
    both = await books.costs.report(CostQuery(by=(Dimension.PROVIDER, Dimension.USER), only={Dimension.USER: "ann"}))
    assert [(row.group["provider"], row.cost_usd, round(row.share, 2)) for row in both.rows] == [
        ("groq", 2.0, 0.67),
        ("openai", 1.0, 0.33),
    ]
    for dimension, name, cost in (
        (Dimension.TEAM, "sales", 5.0),
        (Dimension.RUN, "r1", 1.0),
        (Dimension.MODEL, "groq:n", 2.0),
        (Dimension.KIND, "embedding", 2.0),
        (Dimension.PURPOSE, "answer", 1.0),
        (Dimension.USER, "eve", 0.0),
    ):
        assert (await books.costs.report(CostQuery(only={dimension: name}))).total.cost_usd == cost


async def test_costs_are_held_against_the_period_before(books: Books) -> None:
    await books.spend(3.0, days=1)
    await books.spend(2.0, days=8, model="groq:n")
    await books.spend(1.0, days=9)
    await books.spend(9.0, days=15)
    report = await books.costs.report(CostQuery(by=(Dimension.MODEL,), since=NOW - timedelta(days=6.5)))
    assert (report.total.cost_usd, report.total.before_usd, report.total.change) == (3.0, 3.0, 0.0)
    assert [(row.group["model"], row.before_usd, row.change) for row in report.rows] == [("openai:m", 1.0, 2.0)]
    month = await books.costs.report()
    assert (month.since, month.total.cost_usd, month.rows) == (datetime(2026, 5, 1, tzinfo=UTC), 15.0, ())


async def test_costs_in_time_come_in_order_the_last_ones_when_there_are_many(books: Books) -> None:
    for days in range(5):
        await books.spend(float(days + 1), days=days)
    report = await books.costs.report(CostQuery(per=Step.DAY, limit=3))
    assert [(row.period, row.cost_usd, row.before_usd) for row in report.rows] == [
        ("2026-05-18", 3.0, 4.0),
        ("2026-05-19", 2.0, 3.0),
        ("2026-05-20", 1.0, 2.0),
    ]
    assert report.left_out == 2
    for step, count in ((Step.HOUR, 5), (Step.WEEK, 2), (Step.MONTH, 1)):
        rows = (await books.costs.report(CostQuery(per=step))).rows
        assert (len(rows), sum(row.cost_usd for row in rows)) == (count, 15.0)


async def test_a_report_says_how_well_the_costs_are_known(books: Books) -> None:
    await books.spend(None)
    books.now = NOW
    async with books.ledger.call("new:m", accounting=Accounting(), reserve_usd=None) as usage:
        usage.input_tokens = 1
    async with books.ledger.call("openai:m", accounting=Accounting(), reserve_usd=0.25) as usage:
        usage.cost_usd = 0.75
    with pytest.raises(ModelError):
        await fails(books)
    async with books.ledger.call("openai:m", accounting=Accounting(), reserve_usd=0.125):
        report = await books.costs.report(CostQuery(until=NOW + timedelta(hours=1)))
    exact = report.exactness
    assert (exact.open_calls, exact.reserved_usd, exact.estimated, exact.unpriced) == (1, 0.125, 1, 1)
    assert (exact.overruns, exact.overrun_usd) == (1, 0.5)
    assert (report.total.calls, report.total.failed, report.total.cost_usd) == (5, 1, 1.25)
    assert report.forecast is None


async def fails(books: Books) -> None:
    async with books.ledger.call("openai:m", accounting=Accounting(), reserve_usd=0.25) as usage:
        usage.cost_usd = 0.0
        raise ModelError("no", code=ErrorCode.REFUSED)


async def test_a_month_s_end_is_foreseen_once_there_are_days_enough(books: Books) -> None:
    await books.spend(1.0, days=3)
    early = (await books.costs.report()).forecast
    assert early is not None
    assert (early.expected_usd, early.spent_usd) == (None, 1.0)
    assert early.method == "no forecast: it needs 3 whole days after the first call, and has 2"
    for days in range(1, 43):
        await books.spend(2.0, days=days)
    await books.costs.set_budget(Budget(period=Period.MONTH, limit_usd=45.0))
    report = await books.costs.report()
    found = report.forecast
    assert found is not None
    assert (found.month, found.spent_usd, found.days) == ("2026-05", 39.0, 41)
    assert found.expected_usd is not None
    assert found.expected_usd == pytest.approx(39.0 + 11.5 * 2.0, rel=0.05)
    assert found.low_usd is not None
    assert found.high_usd is not None
    assert found.low_usd <= found.expected_usd <= found.high_usd
    assert report.notes == ("the workspace's budget of $45.00 per month lasts until about 2026-05-23",)
    filtered = await books.costs.report(CostQuery(only={Dimension.USER: "ann"}))
    assert filtered.forecast is not None
    assert (filtered.forecast.expected_usd, filtered.notes) == (None, ())


async def test_rows_are_exported_whole(books: Books, tmp_path: Path) -> None:
    for number in range(40):
        await books.spend(0.1 + number / 1000, user=f"u{number:02}")
    query = CostQuery(by=(Dimension.USER, Dimension.MODEL), limit=3)
    report = await books.costs.export(tmp_path / "costs.csv", query)
    assert ([row.group["user"] for row in report.rows], report.left_out) == (["u39", "u38", "u37"], 37)
    with (tmp_path / "costs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert (rows[0]["user"], rows[0]["model"], rows[0]["calls"], rows[0]["cost_usd"]) == (
        "u39",
        "openai:m",
        "1",
        "0.139000000",
    )
    with pytest.raises(StorageError, match="cannot be written"):
        await books.costs.export(tmp_path / "none" / "costs.csv")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        (" =1+1", "' =1+1"),
        ("\t1", "'\t1"),
        ("\n=1", "'\n'=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("ann; =1", "ann;' =1"),
        ("ann-b@example.com", "ann-b@example.com"),
    ],
)
async def test_a_name_is_only_text_in_a_table_of_sums(books: Books, tmp_path: Path, name: str, written: str) -> None:
    await books.spend(0.1, user=name)
    await books.costs.export(tmp_path / "costs.csv", CostQuery(by=(Dimension.USER,)))
    with (tmp_path / "costs.csv").open(encoding="utf-8", newline="") as file:
        assert [row["user"] for row in csv.DictReader(file)] == [written]


@pytest.mark.parametrize("query", [CostQuery(by=(Dimension.MODEL,)), CostQuery(per=Step.DAY)])
async def test_a_total_is_that_of_its_rows_whatever_is_settled_meanwhile(
    books: Books, monkeypatch: pytest.MonkeyPatch, query: CostQuery
) -> None:
    await books.spend(0.1)
    of = CostSums.of

    async def then_more(sums: CostSums, *args: Any, **options: Any) -> Any:
        found = await of(sums, *args, **options)
        await books.spend(0.2)
        await books.parts.calls.flush()
        return found

    monkeypatch.setattr(CostSums, "of", then_more)
    report = await books.costs.report(query)
    assert report.total.cost_usd == sum(row.cost_usd for row in report.rows)
    assert sum(row.share for row in report.rows) == 1.0


async def test_budgets_are_set_listed_and_removed(books: Books) -> None:
    made = await books.costs.set_budget(Budget(scope=Scope(user="ann"), period=Period.TOTAL, limit_usd=1.0))
    await books.spend(0.75, user="ann")
    with pytest.raises(BudgetError):
        await books.spend(0.5, user="ann")
    [status] = await books.costs.budgets()
    assert (status.standings[0].spent_usd, status.standings[0].refused) == (0.75, 1)
    alerts = (await books.costs.report(CostQuery(since=datetime(2026, 1, 1, tzinfo=UTC)))).alerts
    assert {alert.threshold for alert in alerts} <= {50}
    assert await books.costs.remove_budget(made.id[:6], dry_run=True) == made
    assert len(await books.costs.budgets()) == 1
    await books.costs.remove_budget(made.id)
    with pytest.raises(NotFoundError):
        await books.costs.remove_budget(made.id)


@pytest.mark.parametrize(
    "wrong",
    [
        Budget(period=Period.DAY, limit_usd=-1.0),
        Budget(period=Period.DAY, limit_usd=float("nan")),
        Budget(period=Period.DAY, limit_usd=1e12),
        Budget(period=Period.DAY, limit_usd=1.0, thresholds=(0,)),
        Budget(period=Period.DAY, limit_usd=1.0, thresholds=(5000,)),
        Budget(scope=Scope(user="a" * 256), period=Period.DAY, limit_usd=1.0),
    ],
)
async def test_a_budget_that_makes_no_sense_is_refused(books: Books, wrong: Budget) -> None:
    with pytest.raises(InvalidInputError):
        await books.costs.set_budget(wrong)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai:gpt-x", "openai:gpt-x"),
        (" OpenAI: gpt-x", "openai:gpt-x"),
        ("http://gpu.lan:8000/v1#qwen3", "compatible:gpu.lan:8000/qwen3"),
        ("*", "*"),
    ],
)
async def test_a_budget_is_of_the_model_as_its_calls_are(books: Books, model: str, name: str) -> None:
    made = await books.costs.set_budget(Budget(scope=Scope(model=model), period=Period.DAY, limit_usd=1.0))
    assert made.scope.model == name


@pytest.mark.parametrize("model", ["gpt-x", "compatible:qwen3", "openai:"])
async def test_a_budget_of_a_model_that_no_call_could_be_of_is_refused(books: Books, model: str) -> None:
    with pytest.raises(ConfigError, match=model):
        await books.costs.set_budget(Budget(scope=Scope(model=model), period=Period.DAY, limit_usd=1.0))


async def test_a_call_whose_process_was_killed_is_charged_when_that_is_noticed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever supervises, or opens the workspace."""
    monkeypatch.setattr("intelforge.store.calls.SUPERVISION_SECONDS", 0.1)
    async with Workspace.open(root) as workspace:
        with calling(root) as first, calling(root) as second:
            for process in (first, second):
                assert process.stdout is not None
                assert await asyncio.to_thread(process.stdout.readline) == "calling\n"
            async with asyncio.timeout(60), workspace.costs.supervised():
                assert (await workspace.costs.report()).exactness.open_calls == 2
                first.kill()
                while (await workspace.costs.report()).exactness.open_calls == 2:  # noqa: ASYNC110  it has no event
                    await asyncio.sleep(0.05)
            second.kill()
            second.wait()
        assert (await workspace.costs.report()).exactness.open_calls == 1
        async with Workspace.open(root):
            report = await workspace.costs.report()
    assert (report.exactness.open_calls, report.total.cost_usd, report.total.failed) == (0, 0.5, 2)


def calling(root: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", DIES, str(root)], stdout=subprocess.PIPE, text=True, env=environment)

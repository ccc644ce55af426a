"""The costs of a workspace that returns what a test sets, for tests of the interfaces."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intelforge.core.cost_report import CostQuery, CostReport, CostRow, Exactness, Forecast
from intelforge.core.costs import EACH, Alert, Budget, BudgetStatus, Period, Scope, Standing, window_of

if TYPE_CHECKING:
    from intelforge.costs import Costs
else:
    Costs = object  # the type checker holds the double to the real signatures; at run time it needs none of it

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DAY, MONTH = window_of(Period.DAY, AT), window_of(Period.MONTH, AT)
ANN = Budget(id="3f2a77777777", scope=Scope(user="ann"), period=Period.DAY, limit_usd=5.0, created_at=AT)
EVERYONE = Budget(id="9b1c", scope=Scope(user=EACH), period=Period.MONTH, limit_usd=20.0, hard=False, created_at=AT)
STATUSES = (
    BudgetStatus(budget=ANN, standings=(Standing(window=DAY, spent_usd=4.25, reserved_usd=0.25, refused=3),)),
    BudgetStatus(
        budget=EVERYONE,
        standings=(
            Standing(subject={"user": "ann"}, window=MONTH, spent_usd=12.5),
            Standing(subject={"user": "bob"}, window=MONTH, spent_usd=0.0042),
        ),
    ),
)
ROW = CostRow(
    group={"model": "openai:gpt-5"},
    calls=1200,
    failed=12,
    input_tokens=2_000_000,
    output_tokens=300_000,
    cache_read_tokens=400_000,
    cost_usd=12.5,
    share=0.75,
    before_usd=10.0,
    change=0.25,
)
REPORT = CostReport(
    since=datetime(2026, 5, 1, tzinfo=UTC),
    until=AT,
    before=datetime(2026, 4, 1, tzinfo=UTC),
    total=replace(ROW, group={}, share=1.0),
    rows=(ROW, replace(ROW, group={"model": ""}, cost_usd=0.0042, share=0.0, before_usd=0.0, change=None)),
    exactness=Exactness(open_calls=2, reserved_usd=0.25, estimated=3, unpriced=4, overruns=1, overrun_usd=0.5),
    forecast=Forecast(
        month="2026-05",
        spent_usd=12.5,
        expected_usd=96.0,
        low_usd=80.0,
        high_usd=115.0,
        days=20,
        method="the mean of each weekday over the last 20 whole days",
    ),
    budgets=STATUSES,
    alerts=(Alert(budget=ANN, subject={}, window="2026-05-04", threshold=80, spent_usd=4.0, limit_usd=5.0, at=AT),),
    notes=("the workspace's budget of $20.00 per month lasts until about 2026-05-11",),
)


@dataclass
class FakeCosts(Costs):
    """Gives the values it holds and records what it was asked."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    found: CostReport = REPORT
    statuses: tuple[BudgetStatus, ...] = STATUSES

    async def report(self, query: CostQuery | None = None) -> CostReport:
        self.calls.append(("report", query))
        return self.found

    async def export(self, path: Path, query: CostQuery | None = None) -> CostReport:
        self.calls.append(("export", path))
        return self.found

    async def budgets(self) -> list[BudgetStatus]:
        return list(self.statuses)

    async def set_budget(self, budget: Budget) -> Budget:
        self.calls.append(("set", budget))
        return replace(budget, id="3f2a")

    async def remove_budget(self, start: str, *, dry_run: bool = False) -> Budget:
        self.calls.append(("remove", start, dry_run))
        return ANN

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        yield

"""What the ledger adds to a model call: time when alone, and calls a second when many come at once.

    python benchmarks/ledger.py [--database URL] [--calls 500] [--json]

Two budgets apply to every call, one of its user and one of the workspace. A call is entered, does nothing, and says
what it cost. `--database` takes any URL that the setting does; else a SQLite file in a temporary folder.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from intelforge.core.chat import Accounting
from intelforge.core.costs import Budget, Period, Scope
from intelforge.models.ledger import Ledger
from intelforge.store.budgets import Budgets
from intelforge.store.calls import Calls
from intelforge.store.database import open_database

AT_ONCE = 64
"""callers"""
WARM = 20
"""calls that are not counted"""
USER = Accounting(user="ann")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of calls that cost, and of local ones."""

    database: str
    calls: int
    alone_ms_p50: float
    alone_ms_p95: float
    at_once_per_second: float
    local_ms_p50: float
    local_per_second: float


async def measure(url: str, *, calls: int, root: Path) -> Measured:
    """Enters so many calls one after the other, then as many at once; then local ones."""
    database = await open_database(url, root=root)
    record = Calls(database, owner="benchmark")
    ledger, budgets = Ledger(record), Budgets(database)
    for scope, period in ((Scope(), Period.MONTH), (Scope(user=USER.user), Period.DAY)):
        await budgets.set(Budget(scope=scope, period=period, limit_usd=1e6))
    for _ in range(WARM):
        await _call(ledger)
    alone = [await _call(ledger) for _ in range(calls)]
    began = time.perf_counter()
    await asyncio.gather(*(_calls(ledger, calls // AT_ONCE + 1) for _ in range(AT_ONCE)))
    at_once = AT_ONCE * (calls // AT_ONCE + 1) / (time.perf_counter() - began)
    await record.flush()
    began = time.perf_counter()
    local = [await _call(ledger, local=True) for _ in range(calls)]
    await record.flush()
    local_rate = calls / (time.perf_counter() - began)
    await record.close()
    await database.close()
    return Measured(
        database=url.partition(":")[0],
        calls=calls,
        alone_ms_p50=statistics.median(alone) * 1000,
        alone_ms_p95=statistics.quantiles(alone, n=20)[-1] * 1000,
        at_once_per_second=at_once,
        local_ms_p50=statistics.median(local) * 1000,
        local_per_second=local_rate,
    )


async def _calls(ledger: Ledger, number: int) -> None:
    for _ in range(number):
        await _call(ledger)


async def _call(ledger: Ledger, *, local: bool = False) -> float:
    began = time.perf_counter()
    async with ledger.call("openai:m", accounting=USER, reserve_usd=0.02, local=local) as usage:
        usage.input_tokens, usage.cost_usd = 100, 0.01
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="What the ledger adds to a model call.")
    parser.add_argument("--database", default="sqlite:///ledger.db", help="URL of an empty database")
    parser.add_argument("--calls", type=int, default=500, help="how many")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(given.database, calls=given.calls, root=Path(folder)))
    if given.json:
        print(json.dumps(asdict(found)))
    else:
        print("| database | alone p50 ms | p95 ms | calls/s, 64 at once | local p50 ms | local calls/s |")
        print("|---|---:|---:|---:|---:|---:|")
        print(
            f"| {found.database} | {found.alone_ms_p50:.2f} | {found.alone_ms_p95:.2f} "
            f"| {found.at_once_per_second:,.0f} | {found.local_ms_p50:.3f} | {found.local_per_second:,.0f} |"
        )


if __name__ == "__main__":
    main()

"""The repository of searches: how long the last ones took, and how the slow ones were made. Small and bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, insert, select

from intelforge.core.index_reports import Latency, SlowSearch
from intelforge.core.search import SearchPlan
from intelforge.store.database import Database
from intelforge.store.tables import SearchRow

KEPT: Final = 1000
"""searches on record, the last ones"""
SLOW_KEPT: Final = 100
"""slow ones on record, however many others came after them"""
ALL: Final = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search as it goes on record."""

    at: datetime
    seconds: float
    parts: Mapping[str, float]
    """seconds by part"""
    plan: SearchPlan | None = None
    """of a slow one"""


class Searches:
    """Records searches and sums them up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, searches: Sequence[Search]) -> None:
        """Adds searches and forgets the oldest ones."""
        rows = [
            {
                "at": search.at,
                "seconds": search.seconds,
                "parts": dict(search.parts),
                "slow": search.plan is not None,
                "plan": asdict(search.plan) if search.plan else {},
            }
            for search in searches
        ]
        newest = select(func.max(SearchRow.id)).scalar_subquery()
        slow = select(SearchRow.id).where(SearchRow.slow).order_by(SearchRow.id.desc()).limit(SLOW_KEPT)
        async with self._database.write() as connection:
            await connection.execute(insert(SearchRow), rows)
            await connection.execute(delete(SearchRow).where(SearchRow.id <= newest - KEPT, SearchRow.id.not_in(slow)))

    async def latencies(self) -> dict[str, Latency]:
        """Of the last searches, by part, `all` first; empty before the first search."""
        statement = select(SearchRow.seconds, SearchRow.parts).order_by(SearchRow.id.desc()).limit(KEPT)
        async with self._database.read() as connection:
            rows = [{ALL: row.seconds, **row.parts} for row in await connection.execute(statement)]
        parts = dict.fromkeys(part for row in rows for part in row)
        return {part: _latency(sorted(row[part] for row in rows if part in row)) for part in parts}

    async def slow(self, limit: int) -> list[SlowSearch]:
        """The last slow searches, newest first."""
        statement = select(SearchRow).where(SearchRow.slow).order_by(SearchRow.id.desc()).limit(limit)
        async with self._database.read() as connection:
            return [
                SlowSearch(at=row.at, seconds=row.seconds, parts=row.parts, plan=SearchPlan(**row.plan))
                for row in await connection.execute(statement)
            ]


def _latency(seconds: Sequence[float]) -> Latency:
    """Of sorted times, by nearest rank."""
    p50, p95, p99 = (seconds[max(0, -(-len(seconds) * share // 100) - 1)] for share in (50, 95, 99))
    return Latency(searches=len(seconds), p50=p50, p95=p95, p99=p99)

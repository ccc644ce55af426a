from datetime import UTC, datetime, timedelta

from intelforge.core.index_reports import Latency
from intelforge.core.search import SearchPlan
from intelforge.store.database import Database
from intelforge.store.searches import KEPT, SLOW_KEPT, Search, Searches

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
PLAN = SearchPlan(
    query="cancel",
    where="principal:*",
    store="lancedb:index",
    candidates={"lexical": 3},
    vector_weight=0.3,
    weighed="a single word",
    embedded=1.0,
)


def search(number: int, *, slow: bool = False) -> Search:
    return Search(
        at=AT + timedelta(seconds=number),
        seconds=number / 100,
        parts={"words": number / 200} | ({"rerank": 0.5} if slow else {}),
        plan=PLAN if slow else None,
    )


async def test_latencies_are_told_by_part(database: Database) -> None:
    searches = Searches(database)
    assert await searches.latencies() == {}
    assert await searches.slow(5) == []
    await searches.record([search(number) for number in range(1, 100)])
    await searches.record([search(100, slow=True)])
    assert await searches.latencies() == {
        "all": Latency(searches=100, p50=0.5, p95=0.95, p99=0.99),
        "words": Latency(searches=100, p50=0.25, p95=0.475, p99=0.495),
        "rerank": Latency(searches=1, p50=0.5, p95=0.5, p99=0.5),
    }


async def test_slow_searches_come_with_their_plan_newest_first(database: Database) -> None:
    searches = Searches(database)
    await searches.record([search(1, slow=True), search(2), search(3, slow=True)])
    newest, oldest = await searches.slow(5)
    assert (newest.at, newest.seconds, newest.plan) == (AT + timedelta(seconds=3), 0.03, PLAN)
    assert oldest.at < newest.at
    assert len(await searches.slow(1)) == 1


async def test_the_record_is_bounded_and_keeps_slow_searches_longer(database: Database) -> None:
    searches = Searches(database)
    await searches.record([search(number, slow=True) for number in range(SLOW_KEPT + 50)])
    for _ in range(3):
        await searches.record([search(1) for _ in range(KEPT // 2)])
    assert (await searches.latencies())["all"].searches == KEPT
    kept = await searches.slow(10 * KEPT)
    assert len(kept) == SLOW_KEPT
    assert kept[0].at == AT + timedelta(seconds=SLOW_KEPT + 49)

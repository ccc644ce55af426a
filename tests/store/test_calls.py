from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from intelforge.store.calls import Calls
from intelforge.store.database import Database

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Entry:
    id: str
    model: str = "ollama:small"
    purpose: str = "answer"
    state: str = "reserved"
    reserved_usd: float = 0.01
    cost_usd: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    error: str = ""
    at: datetime = AT


async def test_a_call_is_one_row_from_reservation_to_settlement(database: Database) -> None:
    calls = Calls(database)
    reserved = Entry(id="c1")
    await calls.reserve(reserved)
    [row] = await calls.all()
    assert (row["state"], row["reserved_usd"], row["cost_usd"]) == ("reserved", 0.01, None)
    await calls.settle(replace(reserved, state="settled", cost_usd=0.0025, input_tokens=7, output_tokens=3))
    [row] = await calls.all()
    assert (row["state"], row["cost_usd"], row["input_tokens"], row["at"]) == ("settled", 0.0025, 7, AT)


async def test_calls_are_given_oldest_first(database: Database) -> None:
    calls = Calls(database)
    for number, hours in (("c2", 2), ("c1", 1), ("c3", 3)):
        await calls.reserve(Entry(id=number, at=AT + timedelta(hours=hours)))
    assert [row["id"] for row in await calls.all()] == ["c1", "c2", "c3"]

from intelforge.store.database import Database
from intelforge.store.facts import Facts


async def test_a_fact_is_kept_until_it_is_set_again(database: Database) -> None:
    facts = Facts(database)
    assert await facts.get("rate") is None
    await facts.set("rate", "1.5")
    await facts.set("rate", "2.5")
    await facts.set("other", "x")
    assert await facts.get("rate") == "2.5"

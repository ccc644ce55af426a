from pathlib import Path

import ledger

from intelforge.core.money import nano_of
from intelforge.store.calls import Calls
from intelforge.store.database import Database, open_database


async def test_every_call_that_is_measured_is_entered(migrated_url: str, emptied: Database, tmp_path: Path) -> None:
    found = await ledger.measure(migrated_url, calls=70, root=tmp_path)
    assert 0 < found.alone_ms_p50 <= found.alone_ms_p95
    assert min(found.at_once_per_second, found.local_per_second) > 0
    again = await open_database(migrated_url, root=tmp_path)
    rows = await Calls(again).all()
    await again.close()
    paid = [row for row in rows if row["reserved_nano"]]
    assert (len(paid), len(rows) - len(paid)) == (ledger.WARM + 70 + 2 * ledger.AT_ONCE, 70)
    assert {(row["state"], row["cost_nano"]) for row in paid} == {("settled", nano_of(0.01))}

"""What faults do to the gateway, by the benchmark's own audit."""

import gateway_faults
import pydantic_ai.models
import pytest

from intelforge.core.chat import Accounting
from intelforge.models.ledger import Ledger, MemoryLedgerStore

pytestmark = pytest.mark.filterwarnings("ignore::pydantic_ai.UsageExtractionFailedWarning")


@pytest.fixture(autouse=True)
def _loopback_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)


async def test_faulty_exchanges_end_are_charged_once_and_settled() -> None:
    number = 4 * len(gateway_faults.FAULTS)
    found = await gateway_faults.run(number, MemoryLedgerStore())
    assert (found.hangs, found.double_charges, found.lost_settlements) == (0, 0, 0)
    assert found.exchanges == found.answered + found.failed == number
    assert found.answered > number // 3
    assert found.failed > number // 6
    assert found.attempts > number


async def test_an_entry_that_is_not_settled_or_settled_twice_is_noticed() -> None:
    store = MemoryLedgerStore()
    audited = gateway_faults.AuditedStore(store)
    plan = gateway_faults.Plan(name="exchange-0", fault="none", always=False, stream=False)
    await Ledger(audited).call("a:x", accounting=Accounting(purpose=plan.name), reserve_usd=0.1).__aenter__()
    server = gateway_faults.FaultyServer({plan.name: plan})
    server.seen[plan.name] = 2
    found = gateway_faults._audited([plan], ["failed"], server, audited, 1.0)
    assert found.lost_settlements == 2
    (row,) = audited.rows.values()
    await audited.settle(row)
    await audited.settle(row)
    assert gateway_faults._audited([plan], ["hung"], server, audited, 1.0).double_charges == 1


async def test_what_the_database_has_in_the_end_counts_too() -> None:
    store = MemoryLedgerStore()
    found = await gateway_faults.run(1, store)
    assert found.attempts == 1
    fine = {"state": "settled", "charged_usd": 0.1, "error": ""}
    under_way = {**fine, "state": "reserved", "charged_usd": 0.0}
    given_back = {"state": "failed", "charged_usd": 0.0, "error": "interrupted"}
    assert gateway_faults.with_rows(found, [fine, given_back]) == found
    assert gateway_faults.with_rows(found, [under_way]).lost_settlements == 1
    assert gateway_faults.with_rows(found, []).lost_settlements == 1
    assert gateway_faults.with_rows(found, [fine, fine]).double_charges == 1

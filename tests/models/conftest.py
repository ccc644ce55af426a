"""No model is asked by accident, and no key of this machine is seen."""

from collections.abc import AsyncIterator

import httpx2
import pydantic_ai.models
import pytest

from intelforge.models.ledger import MemoryLedgerStore
from intelforge.testing.gateway import GatewayBench


@pytest.fixture(autouse=True)
def _no_model_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", False)


@pytest.fixture
def allow_loopback_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False) as opened:
        yield opened


@pytest.fixture
def store() -> MemoryLedgerStore:
    return MemoryLedgerStore()


@pytest.fixture
def bench(client: httpx2.AsyncClient, store: MemoryLedgerStore) -> GatewayBench:
    """Builds models out of doubles, with a clock that only naps move."""
    return GatewayBench(client=client, store=store)

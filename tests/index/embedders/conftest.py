"""Embedders opened against a server of their API on loopback."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from intelforge.index.model_api import Patience
from intelforge.testing.embedding_server import EmbeddingServer
from intelforge.testing.remote_embedder import Opener


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer() as running:
        yield running


@pytest.fixture
def naps() -> list[float]:
    """The seconds that were to be waited, which are noted and not slept."""
    return []


@pytest.fixture
async def open_embedder(server: EmbeddingServer, naps: list[float]) -> AsyncIterator[Opener]:
    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    patience = Patience(sleep=sleep, jitter=lambda: 0.5, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    async with server.client() as client:
        yield Opener(server=server, client=client, patience=patience)

"""Rerankers opened against a server of their API on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intelforge.index.model_api import Patience
from intelforge.testing.remote_reranker import RerankerOpener
from intelforge.testing.rerank_server import RerankServer


@pytest.fixture
async def server() -> AsyncIterator[RerankServer]:
    async with RerankServer() as running:
        yield running


@pytest.fixture
async def open_reranker(server: RerankServer, tmp_path: Path) -> AsyncIterator[RerankerOpener]:
    async with server.client() as client:
        yield RerankerOpener(server=server, client=client, patience=Patience(), root=tmp_path)

"""The embedder of a workspace: reached through egress, entered in the ledger, behind one cache."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intelforge import Workspace
from intelforge.core.errors import ErrorCode, ModelError
from intelforge.core.settings import load_settings
from intelforge.index.embedders.cache import CacheCounts
from intelforge.parts import STATE, Parts
from intelforge.store.calls import Calls
from intelforge.testing.embedding_server import EmbeddingServer
from intelforge.testing.model_server import error_reply

LEAN = 'llm = "none:"\njobs = "memory:"\nworkers = 1\n'


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer() as running:
        yield running


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    folder = Workspace.init(tmp_path / "workspace")
    (folder / "intelforge.toml").write_text(LEAN)
    files = tmp_path / "files"
    files.mkdir()
    for name in ("carrots", "beets", "leeks"):
        (files / f"{name}.md").write_text(f"# {name}\n\nBoil the {name} in salted water.\n")
    async with Workspace.open(folder, embedder="none:") as workspace:
        await workspace.add(files)
    return folder


async def embedded(root: Path, url: str) -> int:
    """How many chunks a sync embeds."""
    async with Workspace.open(root, embedder=url) as workspace:
        return (await workspace.sync()).chunks_embedded


async def test_what_was_embedded_once_is_never_asked_for_again(root: Path, server: EmbeddingServer) -> None:
    url = f"{server.url}/v1#some-model"
    assert await embedded(root, url) == 3
    asked = len(server.requests)
    shutil.rmtree(root / STATE / "index")
    assert await embedded(root, url) == 3
    async with Workspace.open(root, embedder=url) as workspace:
        for _ in range(2):
            assert "carrots" in (await workspace.search("carrots"))[0].location
    assert len(server.requests) == asked + 1
    assert server.texts[-1] == ["carrots"]
    assert (root / STATE / "cache" / "embeddings.db").is_file()


async def test_every_request_is_in_the_ledger(root: Path, server: EmbeddingServer) -> None:
    await embedded(root, f"tei:{server.url}")
    server.failures = [error_reply(401, "No")]
    async with Workspace.open(root, embedder=f"tei:{server.url}") as workspace:
        assert len(await workspace.search("carrots")) == 1
        calls = await Calls(workspace._parts.database).all()
    assert [(call["model"], call["purpose"], call["state"]) for call in calls] == [
        ("tei:unnamed", "embed", "settled"),
        ("tei:unnamed", "embed", "failed"),
    ]
    assert [call["cost_usd"] for call in calls] == [0.0, 0.0]


async def test_without_its_key_search_is_by_words_and_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with Workspace.open(root, embedder="openai:text-embedding-3-small") as workspace:
        assert (await workspace.sync()).chunks_embedded == 0
        assert len(await workspace.search("carrots")) == 1
        [note] = (await workspace.status()).notes
        assert "OPENAI_API_KEY is not set" in note


async def test_doctor_asks_the_model_itself(root: Path, server: EmbeddingServer) -> None:
    async with Workspace.open(root, embedder=f"{server.url}/v1#some-model") as workspace:
        for failures, ok in (([], True), ([error_reply(401, "No")], False), ([], True)):
            server.failures = list(failures)
            [check] = [check for check in await workspace.doctor() if check.name == "embedding model"]
            assert check.ok is ok
    assert len(server.requests) == 3


async def test_doctor_needs_no_open_workspace(root: Path, server: EmbeddingServer) -> None:
    checks = await Workspace.open(root, embedder=f"{server.url}/v1#some-model").doctor()
    assert [check.ok for check in checks if check.name == "embedding model"] == [True]


async def test_a_model_that_is_not_known_is_an_error(root: Path) -> None:
    async with Workspace.open(root, embedder="onnx:unheard-of") as workspace:
        with pytest.raises(ModelError) as caught:
            await workspace.search("carrots")
    assert caught.value.error_code is ErrorCode.NOT_FOUND


async def test_indexing_and_searching_have_one_embedder_and_one_cache(tmp_path: Path, server: EmbeddingServer) -> None:
    flags = {"embedder": f"{server.url}/v1#m", "database": "sqlite:///test.db", "llm": "none:"}
    parts = Parts(tmp_path, load_settings(tmp_path, flags=flags, environment={})[0])
    await parts.open()
    embedder = parts.embedder()
    assert embedder
    assert embedder is parts.embedder()
    await embedder.embed(["x", "y"])
    await embedder.embed(["x"])
    assert parts.embedding_cache.counts == CacheCounts(hits=1, misses=2)
    await parts.close()

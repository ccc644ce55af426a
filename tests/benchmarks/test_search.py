"""The benchmark of searching: its own arithmetic, the corpus it makes, and one run of IntelForge over it."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intelforge.index import weights

NAME = "all-MiniLM-L6-v2"
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TEXT = "def function(value):\n    return value + 1  # line by line\n"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> Any:
    return importlib.import_module(name)


def corpus(folder: Path, *, chunks: int = 60) -> Any:
    """A job over chunks with vectors made by chance."""
    folder.mkdir()
    chance = np.random.default_rng(3)
    vectors = chance.normal(size=(chunks, 8)).astype(np.float32)
    np.save(folder / "vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    np.save(folder / "queries.npy", np.eye(2, 8, dtype=np.float32))
    rows = [
        {"id": f"d{row // 2}:{row % 2}", "document_id": f"d{row // 2}", "ordinal": row % 2, "start": 0, "end": 4}
        | {"text": f"text {row}", "heading": "", "kind": "text", "tokens": 2}
        for row in range(chunks)
    ]
    (folder / "chunks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return module("search").SearchJob(
        building=True,
        corpus=str(folder),
        chunks=chunks,
        state="",
        questions=("text", "other"),
        rounds=1,
        threads=1,
        index="lancedb:index",
    )


def test_the_nearest_are_those_of_a_full_sort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("search_protocol"), "BATCH", 7)
    job = corpus(tmp_path / "corpus")
    nearest = module("search").exact(job)
    vectors = np.load(tmp_path / "corpus" / "vectors.npy")
    groups = np.arange(60) // 2 % 20
    for query in range(2):
        order = np.argsort(-vectors[:, query])
        assert nearest.every[query] == {f"d{row // 2}:{row % 2}" for row in order[:10]}
        assert nearest.filtered[query] == {f"d{row // 2}:{row % 2}" for row in order if groups[row] == 7}


def test_a_smaller_job_has_the_first_chunks_of_a_larger_one(tmp_path: Path) -> None:
    job = corpus(tmp_path / "corpus")
    small = module("search").replace(job, chunks=9)
    ids = [row["id"] for rows, _ in job.batches() for row in rows]
    assert [row["id"] for rows, vectors in small.batches() for row in rows[: len(vectors)]] == ids[:9]


def test_recall_is_the_share_of_the_nearest_that_was_found() -> None:
    search = module("search")
    near = [frozenset("ab"), frozenset("cd")]
    assert search.recall(near, {"found": [["a", "x"], ["d", "c"]]}) == 0.75
    assert search.recall(near, None) is None


def test_what_falls_short_is_told() -> None:
    search = module("search")
    one = search.Measured(
        system="intelforge lancedb:index",
        chunks=100_000,
        add_seconds=1.0,
        index_seconds=2.0,
        index_mb=500.0,
        disk_mb=300.0,
        memory_mb=1600.0,
        recall=0.98,
        filtered_recall=None,
        latency={"whole": search.Latency(p50=20.0, p95=40.0)},
    )
    peer = search.replace(one, system="chroma", latency={"vector": search.Latency(p50=1.0, p95=2.0)})
    told = search.report([one, peer], {"cores": 2})
    assert "met   hybrid p95, intelforge lancedb:index at 100,000 chunks: 40 ms (goal: at most 50)" in told
    assert "MISSED  memory, intelforge lancedb:index at 100,000 chunks: 1.6e+03 MB" in told
    assert "| chroma | 100,000 | 1.0 | 2.0 | 500 | 300 | 1,600 | 0.980 | – | 1.0 / 2.0 | – |" in told
    assert len(json.loads(search.as_json([one, peer], {}))["goals"]) == 3


@pytest.mark.skipif(
    weights.find(NAME, cache=weights.cache_folder()) is None, reason=f"run: intelforge models pull {NAME}"
)
def test_files_are_cut_given_vectors_indexed_and_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(12):
        (sources / f"{number}.py").write_text(TEXT.replace("value", f"value_{number}"), encoding="utf-8")
    command = [str(sources), "--chunks", "12", "--embedded", "6", "--work", str(tmp_path / "work"), "--json"]
    module("search").main(command)
    told = json.loads(capsys.readouterr().out)
    [row] = told["rows"]
    assert row["chunks"] == 12
    assert row["recall"] > 0.95  # texts that are nearly alike may change places in half precision
    assert set(row["latency"]) == set(module("search").KINDS)
    assert row["memory_mb"] > 10
    vectors = np.load(tmp_path / "work" / "vectors.npy")
    assert vectors.shape == (12, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    made = (tmp_path / "work" / "vectors.npy").stat().st_mtime_ns
    module("search").main(command)
    assert (tmp_path / "work" / "vectors.npy").stat().st_mtime_ns == made

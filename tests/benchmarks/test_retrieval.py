import gzip
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from intelforge.index import weights

NAME = "all-MiniLM-L6-v2"
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "retrieval.py"


@pytest.fixture(scope="module")
def retrieval() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_retrieval", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_ndcg_equals_values_worked_out_by_hand(retrieval: ModuleType) -> None:
    assert retrieval.ndcg(["a", "x", "b"], frozenset("ab")) == pytest.approx((1 + 0.5) / (1 + 0.63093), abs=1e-5)
    assert retrieval.ndcg(["a"], frozenset("a")) == 1
    assert retrieval.ndcg([*"xxxxxxxxxx", "a"], frozenset("a")) == 0
    assert retrieval.ndcg([], frozenset()) == 0


def test_recall_counts_the_share_found(retrieval: ModuleType) -> None:
    assert retrieval.recall(["a", "x"], frozenset("ab")) == 0.5
    assert retrieval.recall([*["x"] * 100, "a"], frozenset("a")) == 0


@pytest.mark.skipif(
    weights.find(NAME, cache=weights.cache_folder()) is None, reason=f"run: intelforge models pull {NAME}"
)
def test_one_json_line_a_folder_with_every_measure(
    retrieval: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [{"id": "1", "text": "cats purr"}, {"id": "2", "text": "dogs bark"}, {"id": "3", "text": "fish swim"}]
    queries = [{"id": "q", "text": "barking dogs", "relevant": ["2"]}]
    for name, rows in (("docs", documents), ("queries", queries)):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    retrieval.main([str(tmp_path), "--json"])
    [line] = capsys.readouterr().out.splitlines()
    perfect = {"ndcg_at_10": 1.0, "recall_at_100": 1.0}
    assert json.loads(line) == {
        "collection": tmp_path.name,
        "queries": 1,
        "lexical": perfect,
        "vector": perfect,
        "hybrid": perfect,
        "reranked": perfect,
    }
    retrieval.main([str(tmp_path)])
    assert "hybrid nDCG@10" in capsys.readouterr().out

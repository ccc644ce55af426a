import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
import routing
from routing_curve import OPENING, _online, curves
from routing_data import alike, features, folds, read_nine_models, read_two_models
from routing_measures import apgr, calibration_error, calls_needed, gap_closed, interval
from routing_paretobandit import Given, Program, UnavailableError, routed
from routing_peers import elo, factorised, nine_model_peers, two_model_peers

from intelforge.testing.router_world import GOOD, text

WEAK = np.asarray([0.0, 0.0, 1.0, 1.0])
STRONG = np.asarray([1.0, 1.0, 1.0, 0.0])


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    return path


def told(kind: str, draw: random.Random) -> str:
    """A prompt with a name that no other has."""
    letters = "".join(draw.choice("abcdefghij") for _ in range(40))
    names = " ".join(letters[start : start + 5] for start in range(0, 40, 5))
    return f"{text(kind, draw)} Asked by {names}."


def two_models(path: Path, count: int) -> Path:
    draw, rows = random.Random(0), []
    for number in range(count):
        kind = draw.choice(("sum", "talk"))
        weak, strong = (draw.random() < GOOD[kind, model] for model in ("small", "large"))
        prompt = told(kind, draw)
        rows.append(
            {"benchmark": "mmlu", "subject": f"{kind}{number % 10}", "prompt": prompt, "weak": weak, "strong": strong}
        )
    return written(path, rows)


def nine_models(path: Path, count: int) -> Path:
    draw, rows = random.Random(1), []
    for _ in range(count):
        kind = draw.choice(("sum", "talk"))
        scores = {model: float(draw.random() < GOOD[kind, model]) for model in ("small", "large")}
        rows.append({"question": told(kind, draw), "scores": scores, "cluster_id": 0})
    return written(path, rows)


PRICES = {name: {"input_price": price, "output_price": price} for name, price in (("small", 0.1), ("large", 1.0))}


def test_the_area_is_one_half_for_chance_and_more_for_the_best_order() -> None:
    gain = STRONG - WEAK
    assert apgr(gain, WEAK, STRONG) > 1
    assert apgr(-gain, WEAK, STRONG) < 0
    random_order = np.random.default_rng(0)
    many = [apgr(random_order.random(400), np.tile(WEAK, 100), np.tile(STRONG, 100)) for _ in range(50)]
    assert np.mean(many) == pytest.approx(0.5, abs=0.05)


def test_the_area_is_that_under_the_curve_by_hand() -> None:
    """After 1, 2, 3, 4 calls: 1, 2, 2, 1 of a gap of 1."""
    assert apgr(np.asarray([4.0, 3.0, 2.0, 1.0]), WEAK, STRONG) == pytest.approx((0.5 + 1.5 + 2 + 1.5) / 4)
    assert calls_needed(np.asarray([4.0, 3.0, 2.0, 1.0]), WEAK, STRONG, 0.8) == 0.25


def test_calibration_and_gap() -> None:
    assert calibration_error(np.asarray([0.75, 0.75]), np.asarray([1.0, 0.5])) == pytest.approx(0.0)
    assert calibration_error(np.asarray([0.9, 0.1]), np.asarray([0.0, 1.0])) == pytest.approx(0.9)
    scores = np.asarray([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert gap_closed(np.asarray([0, 0, 1]), scores) == pytest.approx(1.0)
    assert gap_closed(np.asarray([0, 0, 0]), scores) == pytest.approx(0.0)
    low, high = interval(lambda rows: float(rows.mean()), 100)
    assert low < 49.5 < high


def test_folds_keep_together_what_is_alike() -> None:
    requests = features(["What is a red apple made of?", "What is a red apple made of ?", "Name a river."], None)
    groups = alike(requests)
    assert groups[0] == groups[1] != groups[2]
    fold = folds(["a", "b", "a", "c", "d"], 2)
    assert fold[0] == fold[2]
    assert set(fold.tolist()) == {0, 1}


def test_the_line_has_what_was_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps(PRICES), encoding="utf-8")
    two, nine = two_models(tmp_path / "two.gz", 150), nine_models(tmp_path / "nine.gz", 150)
    command = ["--two-models", str(two), "--nine-models", str(nine), "--prices", str(prices), "--embedder", "none:"]
    routing.main([*command, "--json"])
    [line] = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["mmlu_random_folds"]["apgr"] > 0.6
    assert found["mmlu_held_out_subjects"]["rows"] == 150
    assert found["nine_models"]["over_chance"] > 0.1
    assert 0 < found["nine_models"]["cost_ratio"] <= 1
    assert 0 <= found["calibration_error"] < 0.3
    assert found["decision_ms_p50"] < 20
    routing.main([*command, "--nine-models-test", str(nine_models(tmp_path / "other.gz", 40))])
    assert '"gap_closed"' not in capsys.readouterr().out.splitlines()[0]


def test_without_files_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        routing.main([])
    assert "--two-models" in capsys.readouterr().err


def test_the_curves_of_calls_begin_with_the_catalogue_or_with_an_evaluation(tmp_path: Path) -> None:
    table = read_nine_models(nine_models(tmp_path / "nine.gz", 180), PRICES)
    requests = features(table.prompts, None)
    found = curves(table, requests)
    assert set(found["judged"]) == set(found["online"]) == set(found["opened"]) == {"50", "100"}
    alone = _online(table, requests, np.random.default_rng(0), 0)
    assert len(alone) == 180
    assert found["online_least"] <= alone[49:].min() + 1e-4
    assert len(_online(table, requests, np.random.default_rng(0), OPENING)) == 130


def test_a_peer_that_cannot_be_installed_is_left_out_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = np.zeros((4, 2))
    given = Given(vectors=numbers.astype(np.float32), scores=numbers, prices=numbers[0], splits=[])

    def missing() -> Program:
        raise UnavailableError("there is no network")

    assert routed(given, lambda chances: 1.0, made=missing) == "left out: there is no network"
    assert "without ParetoBandit" in capsys.readouterr().err


def test_a_peer_gets_every_split_and_its_answer_is_measured() -> None:
    numbers, rows = np.zeros((4, 2)), np.arange(4)
    splits = [(rows[:2], rows[2:]), (rows[2:], rows[:2])]
    given = Given(vectors=numbers.astype(np.float32), scores=numbers, prices=numbers[0], splits=splits)

    def answered(source: Path, target: Path) -> None:
        with np.load(source) as read:
            assert read["test1"].tolist() == [0, 1]
        np.save(target, np.full((4, 3), 0.25))

    assert routed(given, lambda chances: float(chances.sum()), made=lambda: answered) == 3.0


def test_peers_learn_what_is_plain_in_the_vectors(tmp_path: Path) -> None:
    table = read_two_models(two_models(tmp_path / "two.gz", 300))["mmlu"]
    kinds = np.asarray([float(subject.startswith("sum")) for subject in table.subjects])
    vectors = np.stack([kinds, 1 - kinds], axis=1).astype(np.float32)
    train, test = np.arange(200), np.arange(200, 300)
    for peer in (elo, factorised):
        found = peer(vectors, table.scores, train, test)
        assert found[kinds[test] == 1].mean() > found[kinds[test] == 0].mean()
    for name, fit in two_model_peers(vectors, table.scores).items():
        assert fit(train, test).shape == (100,), name
    for name, fit in nine_model_peers(vectors, table.scores, np.asarray([0.1, 1.0])).items():
        chosen = fit(train, test).astype(int)
        assert set(chosen.tolist()) <= {0, 1}, name

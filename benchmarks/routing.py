"""Measures the router on recorded replies: how well it ranks prompts by what the dearer model adds, how near it comes
to the best model for each prompt, whether its predictions hold, how soon it learns, and how long a decision takes.

    python benchmarks/routing.py --two-models FILE --nine-models FILE --prices FILE [--nine-models-test FILE]
        [--embedder onnx:all-MiniLM-L6-v2] [--peers] [--curve] [--json]

Everything is predicted for prompts that were not learned from, nor any with nearly the same words. With
`--nine-models-test` the second file is scored by what was learned from the first. The format of the files is in
benchmarks/README.md. Nothing is chosen by these results: the router runs as it ships.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from routing_curve import curves
from routing_data import Table, alike, embedded, features, folds, read_nine_models, read_two_models
from routing_measures import apgr, calibration_error, calls_needed, gap_closed, interval
from routing_paretobandit import NAME, Given, routed
from routing_peers import nine_model_peers, two_model_peers

from intelforge.models.router.policy import NONE
from intelforge.models.router.reading import read_request
from intelforge.models.router.router import Options, Router
from intelforge.models.router.values import Decision, Judgement, Observation, Preference, RequestFeatures

Rows = NDArray[np.int64]
Fit = Callable[[Rows, Rows], NDArray[np.float64]]
"""Takes the rows to learn from and the rows to predict; gives the predictions."""

FOLDS: Final = 10
TIMED: Final = 300
QUALITY: Final = Preference.parse("quality")
EMBEDDER: Final = "onnx:all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A table with its prompts as the router and its peers read them."""

    table: Table
    requests: Sequence[RequestFeatures]
    vectors: NDArray[np.float32] | None
    groups: Rows
    """equal for prompts of nearly the same words"""

    @classmethod
    def of(cls, table: Table, url: str) -> "Prepared":
        vectors = embedded(table.prompts, url)
        requests = features(table.prompts, vectors)
        return cls(table=table, requests=requests, vectors=vectors, groups=alike(requests))


def trained(data: Prepared, rows: Sequence[int] | Rows) -> Router:
    """The router as it ships after an evaluation of all candidates on these rows."""
    router = Router(data.table.candidates, Options(preference=QUALITY, exploration=NONE))
    router.study(
        Observation(
            features=data.requests[row],
            model=candidate.name,
            quality=float(data.table.scores[row, column]),
            source=Judgement.EVALUATION,
        )
        for row in rows
        for column, candidate in enumerate(data.table.candidates)
    )
    router.learn()
    return router


def predicted(router: Router, requests: Sequence[RequestFeatures], rows: Rows) -> NDArray[np.float64]:
    """The qualities of each candidate in their order, shape (rows, candidates)."""
    return np.asarray([[one.quality for one in router.predict(requests[row])] for row in rows])


def out_of_fold(data: Prepared, fold: Rows, fit: Fit) -> NDArray[np.float64]:
    """Predictions of every row by what was learned from the other folds, without rows much like those to predict."""
    found: NDArray[np.float64] | None = None
    for train, test in splits(data, fold):
        part = fit(train, test)
        found = np.zeros((len(fold), *part.shape[1:])) if found is None else found
        found[test] = part
    assert found is not None
    return found


def splits(data: Prepared, fold: Rows) -> Iterator[tuple[Rows, Rows]]:
    """For each fold, the rows to learn from and the rows to predict; no row of the first is much like one of these."""
    for test in _rows_of(fold):
        yield np.flatnonzero((fold != fold[test[0]]) & ~np.isin(data.groups, data.groups[test])), test


def two_models(data: Prepared, fold: Rows, *, peers: bool) -> dict[str, Any]:
    """APGR with its interval, the calls needed, calibration, and the same of the peers."""
    scores = data.table.scores
    weak, strong = scores[:, 0], scores[:, 1]
    ours = out_of_fold(data, fold, lambda train, test: predicted(trained(data, train), data.requests, test))
    gain = ours[:, 1] - ours[:, 0]
    within = [
        apgr(gain[rows], weak[rows], strong[rows]) for rows in _rows_of(fold) if strong[rows].sum() != weak[rows].sum()
    ]
    found: dict[str, Any] = {
        "apgr": round(apgr(gain, weak, strong), 4),
        "interval": interval(lambda rows: apgr(gain[rows], weak[rows], strong[rows]), len(weak)),
        "apgr_median_of_folds": round(median(within), 4),
        "calls_for_50": round(calls_needed(gain, weak, strong, 0.5), 4),
        "calls_for_80": round(calls_needed(gain, weak, strong, 0.8), 4),
        "calibration_error": round(calibration_error(ours, scores), 4),
        "rows": len(weak),
    }
    if peers and data.vectors is not None:
        found["peers"] = {
            name: round(apgr(out_of_fold(data, fold, fit), weak, strong), 4)
            for name, fit in two_model_peers(data.vectors, scores).items()
        }
        found["peers"][NAME] = routed(
            Given(vectors=data.vectors, scores=scores, prices=_prices(data), splits=list(splits(data, fold))),
            lambda chances: round(apgr(chances[:, 1] - chances[:, 0], weak, strong), 4),
        )
    return found


def nine_models(data: Prepared, other: Prepared | None, *, peers: bool) -> dict[str, Any]:
    """The gap closed and its cost, out of fold or on another file, and the same of the peers."""
    judged = other or data
    decided = _decided(data, other)
    names = [one.name for one in judged.table.candidates]
    chosen = np.asarray([names.index(one.model) for one in decided])
    qualities = np.asarray([[_quality(one, name) for name in names] for one in decided])
    found = {
        **_choice(chosen, judged),
        "calibration_error": round(calibration_error(qualities, judged.table.scores), 4),
        "best_single": round(float(judged.table.scores.mean(0).max()), 4),
        "oracle": round(float(judged.table.scores.max(1).mean()), 4),
        "rows": len(names) and len(decided),
    }
    if peers and data.vectors is not None:
        found["peers"] = _nine_peers(data, other)
    return found


def _nine_peers(data: Prepared, other: Prepared | None) -> dict[str, Any]:
    prices = _prices(data)
    judged, fold = other or data, folds(data.groups.tolist(), FOLDS)
    vectors = data.vectors if other is None else np.concatenate([_known(data.vectors), _known(other.vectors)])
    scores = data.table.scores if other is None else np.concatenate([data.table.scores, other.table.scores])
    rows = np.arange(len(scores))
    parts = [(rows[: len(fold)], rows[len(fold) :])] if other else list(splits(data, fold))
    predicts = np.concatenate([test for _, test in parts])
    found: dict[str, Any] = {}
    for name, fit in nine_model_peers(_known(vectors), scores, prices).items():
        chosen = np.zeros(len(scores), int)
        for train, test in parts:
            chosen[test] = fit(train, test)
        found[name] = _choice(chosen[np.sort(predicts)], judged)
    found[NAME] = routed(
        Given(vectors=_known(vectors), scores=scores, prices=prices, splits=parts),
        lambda chances: _choice(chances[np.sort(predicts), -1].astype(int), judged),
    )
    return found


def _decided(data: Prepared, other: Prepared | None) -> list[Decision]:
    if other is not None:
        router = trained(data, range(len(data.requests)))
        return [router.decide(request) for request in other.requests]
    fold = folds(data.groups.tolist(), FOLDS)
    found: dict[int, Decision] = {}
    for rows in _rows_of(fold):
        router = trained(data, np.setdiff1d(np.arange(len(fold)), rows))
        found.update((int(row), router.decide(data.requests[row])) for row in rows)
    return [found[row] for row in range(len(fold))]


def _choice(chosen: Rows, data: Prepared) -> dict[str, Any]:
    scores, candidates = data.table.scores, data.table.candidates
    best = int(scores.mean(0).argmax())
    cost = np.asarray([[one.cost(ask.input_tokens, ask.output_tokens) for one in candidates] for ask in data.requests])
    at = np.arange(len(scores))
    return {
        "gap_closed": round(gap_closed(chosen, scores), 4),
        "interval": interval(lambda rows: gap_closed(chosen[rows], scores[rows]), len(scores)),
        "cost_ratio": round(float(cost[at, chosen].sum() / cost[:, best].sum()), 4),
        "score": round(float(scores[at, chosen].mean()), 4),
        "over_chance": round(float(scores[at, chosen].mean() / scores.mean() - 1), 4),
    }


def decision_ms(data: Prepared) -> dict[str, float]:
    """From the text to the decision, the embedder left out, with all the rows remembered."""
    router = trained(data, range(len(data.requests)))
    times = []
    for prompt, vector in zip(data.table.prompts[:TIMED], _vectors(data), strict=False):
        began = time.perf_counter()
        router.decide(read_request(prompt, embedding=vector))
        times.append((time.perf_counter() - began) * 1000)
    return {"p50": round(float(np.percentile(times, 50)), 3), "p95": round(float(np.percentile(times, 95)), 3)}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All that the files given allow."""
    found: dict[str, Any] = {}
    read: list[Prepared] = []
    if options.two_models:
        tables = read_two_models(options.two_models)
        for table in tables.values():
            data = Prepared.of(table, options.embedder)
            read.append(data)
            several = len(set(table.subjects.tolist())) > 1
            name = f"{table.name}_random_folds" if several else table.name
            found[name] = two_models(data, folds(data.groups.tolist(), FOLDS), peers=options.peers)
            if several:
                fold = folds(table.subjects.tolist(), FOLDS)
                found[f"{table.name}_held_out_subjects"] = two_models(data, fold, peers=options.peers)
    if options.nine_models:
        prices = json.loads(options.prices.read_text(encoding="utf-8"))
        data = Prepared.of(read_nine_models(options.nine_models, prices), options.embedder)
        read.append(data)
        test = options.nine_models_test
        other = Prepared.of(read_nine_models(test, prices), options.embedder) if test else None
        found["nine_models"] = nine_models(data, other, peers=options.peers)
    if options.curve:
        found["learning_curve"] = {one.table.name: curves(one.table, one.requests) for one in read}
    measured = [
        one["calibration_error"] for name, one in found.items() if "calibration_error" in one and "held" not in name
    ]
    if measured:
        found["calibration_error"] = max(measured)
    if read:
        times = decision_ms(max(read, key=lambda one: len(one.requests)))
        found |= {"decision_ms_p50": times["p50"], "decision_ms_p95": times["p95"]}
    return found


def table_of(found: Mapping[str, Any]) -> str:
    """The results for people."""
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{name}:")
            lines += [f"  {key}: {json.dumps(part)}" for key, part in value.items()]
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How well the router routes, on recorded replies.")
    parser.add_argument(
        "--two-models", metavar="FILE", type=Path, help="prompts with a weak and a strong model's success"
    )
    parser.add_argument("--nine-models", metavar="FILE", type=Path, help="questions with the scores of several models")
    parser.add_argument(
        "--nine-models-test", metavar="FILE", type=Path, help="score these by what --nine-models teaches"
    )
    parser.add_argument("--prices", metavar="FILE", type=Path, help="the models' prices, JSON")
    parser.add_argument("--embedder", metavar="URL", default=EMBEDDER, help=f"`none:` for no vectors; {EMBEDDER}")
    parser.add_argument("--peers", action="store_true", help="measure other routers in the same run")
    parser.add_argument("--curve", action="store_true", help="show how quality grows with observations")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    options = parser.parse_args(arguments)
    if not (options.two_models or options.nine_models):
        parser.error("give --two-models or --nine-models")
    if options.nine_models and not options.prices:
        parser.error("--nine-models needs --prices")
    found = run(options)
    print(json.dumps(found) if options.json else table_of(found))


def _rows_of(fold: Rows) -> Iterator[Rows]:
    for number in range(int(fold.max()) + 1):
        yield np.flatnonzero(fold == number)


def _quality(decision: Decision, name: str) -> float:
    return next(one.quality for one in decision.predictions if one.model == name)


def _prices(data: Prepared) -> NDArray[np.float64]:
    return np.asarray([one.input_price for one in data.table.candidates])


def _known(vectors: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert vectors is not None
    return vectors


def _vectors(data: Prepared) -> Sequence[NDArray[np.float32] | None]:
    return [None] * len(data.requests) if data.vectors is None else list(data.vectors)


if __name__ == "__main__":
    main()

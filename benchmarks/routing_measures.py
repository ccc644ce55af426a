"""The measures of the routing benchmark."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 10
RESAMPLED = 500


def recovered(score: Floats, weak: Floats, strong: Floats, *, seed: int = 0) -> Floats:
    """The part of the gap between the two models that is recovered when the first 0, 1, 2, … calls by score go to the
    strong one (RouteLLM's PGR). Equal scores are taken in an order by chance; without a gap it grows evenly."""
    order = np.lexsort((np.random.default_rng(seed).random(len(score)), -np.asarray(score)))
    gains = np.concatenate([[0.0], np.cumsum((strong - weak)[order])])
    return np.asarray(gains / gains[-1]) if gains[-1] else np.linspace(0.0, 1.0, len(gains))


def apgr(score: Floats, weak: Floats, strong: Floats) -> float:
    """RouteLLM's APGR: the area under `recovered` over the share of strong calls, 0.5 for a choice by chance."""
    curve = recovered(score, weak, strong)
    return float(((curve[1:] + curve[:-1]) / 2).mean())


def calls_needed(score: Floats, weak: Floats, strong: Floats, part: float) -> float:
    """The least share of strong calls that recovers a part of the gap (RouteLLM's CPT)."""
    curve = recovered(score, weak, strong)
    return float(np.argmax(curve >= part) / (len(curve) - 1))


def calibration_error(predicted: Floats, came: Floats) -> float:
    """Expected calibration error over ten bins of equal width."""
    flat, truth = np.ravel(predicted), np.ravel(came)
    bins = np.minimum((flat * BINS).astype(int), BINS - 1)
    used = [bins == number for number in range(BINS) if (bins == number).any()]
    return float(sum(abs(flat[rows].mean() - truth[rows].mean()) * rows.mean() for rows in used))


def gap_closed(chosen: NDArray[np.int64], scores: Floats) -> float:
    """How far of the way from the best single model to the best for each prompt the choice comes; 0 without a way."""
    best, oracle = scores.mean(0).max(), scores.max(1).mean()
    if oracle <= best:
        return 0.0
    return float((scores[np.arange(len(scores)), chosen].mean() - best) / (oracle - best))


def interval(measure: Callable[[NDArray[np.int64]], float], rows: int, *, seed: int = 0) -> list[float]:
    """The 2.5th and 97.5th percentile of a measure over rows drawn with replacement."""
    random = np.random.default_rng(seed)
    found = [measure(random.integers(0, rows, rows)) for _ in range(RESAMPLED)]
    return [round(float(bound), 4) for bound in np.percentile(found, (2.5, 97.5))]

"""How good each model's reply to a request will be: learned from judged replies, on top of the catalogue.

A Gaussian process on the log odds of a good reply, fitted at its mode by Newton's method, each step of which is a
weighted regression (Rasmussen and Williams, 2006, 3.4). Odds, because what makes a request harder moves a model that is
nearly always right by little, and one that is right half of the time by much.

Where several models were judged on one request, who is better is learned apart from how hard it is: whether the request
tells the models apart, and who is right where it does. Requests that all get right, or all wrong, say nothing on the
second (as in Rasch's conditional likelihood), and the first is learned from all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from intelforge.models.router.comparison import Compared, combined, compared
from intelforge.models.router.likeness import Points, Scale, Weights, words_matrix
from intelforge.models.router.regression import Strength, mixed, solve
from intelforge.models.router.values import RequestFeatures

Matrix = NDArray[np.float32]

WEIGHTS: Final = Weights()
STRENGTH: Final = Strength()
PRIOR_COUNT: Final = 8.0
"""observations that a catalogue's prior counts as"""
LOW: Final = 0.01
HIGH: Final = 0.99
STEPS: Final = 4
"""of Newton's method"""
LEAST_WEIGHT: Final = 0.02
"""of an observation that was all but certain"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the router learns from: a row for each request, a column for each model."""

    requests: Sequence[RequestFeatures]
    qualities: Matrix
    """from 0 to 1; any number where `trust` is 0"""
    trust: Matrix
    """how much each counts; 0 where nobody judged"""
    priors: Matrix
    """of the catalogue, one for each model"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityModel:
    """What was learned. Predicting takes one likeness to every request that is remembered."""

    means: Matrix
    """log odds of each model, then, once something was judged, of telling them apart and of each where told apart"""
    noise: float
    """variance of a judged quality around what is predicted"""
    scale: Scale | None = None
    points: Points | None = None
    coefficients: Matrix | None = None
    words: Matrix | None = None
    """coefficients of the hashed words, shape (places, means)"""
    seen: Matrix | None = None
    """the trust that each row has, by model"""
    share: Matrix | None = None
    """of each model's judged replies, the part that stands beside another model's"""
    weights: Weights = WEIGHTS
    strength: Strength = STRENGTH

    @classmethod
    def of_priors(cls, priors: Matrix) -> Self:
        """Before anything was seen."""
        return cls(means=_log_odds(np.asarray(priors, np.float32)), noise=0.25)

    @classmethod
    def fit(cls, judged: Judged, *, weights: Weights = WEIGHTS, strength: Strength = STRENGTH) -> Self:
        """Learns from all of it at once; 5,000 requests take some seconds."""
        trust = judged.trust.astype(np.float32)
        if not len(judged.requests) or not trust.any():
            return cls.of_priors(judged.priors)
        scale = Scale.of(judged.requests)
        points = Points.of(judged.requests, scale)
        words = words_matrix(judged.requests, scale)
        kernel = points.likeness(points, weights)
        kernel += weights.words * (words @ words.T)
        beside = compared(judged.qualities, trust)
        means, coefficients = _mode(kernel, judged, strength)
        left = np.where(trust > 0, judged.qualities - _chance(means + kernel @ coefficients), 0)
        parts = [(means, coefficients), *_comparison(kernel, beside, judged, strength)]
        means, coefficients = np.concatenate([part[0] for part in parts]), np.hstack([part[1] for part in parts])
        return cls(
            means=means,
            noise=max(float((trust * left**2).sum() / trust.sum()), 1e-3),
            scale=scale,
            points=points,
            coefficients=coefficients,
            words=weights.words * (words.T @ coefficients),
            seen=trust,
            share=beside.share,
            weights=weights,
            strength=strength,
        )

    def predict(self, request: RequestFeatures) -> tuple[Matrix, Matrix]:
        """The expected quality by each model, and how many judged replies to like requests that rests on."""
        if (
            self.scale is None
            or self.points is None
            or self.coefficients is None
            or self.words is None
            or self.seen is None
            or self.share is None
        ):
            return _chance(self.means), np.zeros_like(self.means)
        near = self.points.likeness(Points.of([request], self.scale), self.weights)[:, 0]
        places, values = request.words[0], self.scale.words(request)
        chances = _chance(self.means + near @ self.coefficients + values @ self.words[places])
        full = float(self.weights.shape + self.weights.shape_within)
        full += self.weights.embedding * bool(self.points.embeddings.shape[1])
        support = np.asarray((near / np.float32(full)) ** 2 @ self.seen, np.float32)
        return np.clip(combined(chances, self.share), LOW, HIGH), support

    def mean(self, column: int) -> float:
        """The quality of a model over all kinds of requests."""
        return float(_chance(self.means[column : column + 1])[0])


def _comparison(
    kernel: Matrix, beside: Compared, judged: Judged, strength: Strength
) -> tuple[tuple[Matrix, Matrix], tuple[Matrix, Matrix]]:
    """Means and coefficients of telling models apart, and of each model where they are told apart."""
    total = max(float(beside.trust.sum()), 1e-9)
    usual = np.asarray([(beside.trust * beside.spread).sum() / total], np.float32)
    apart = replace(judged, qualities=beside.spread, trust=beside.trust, priors=usual)
    standing = replace(judged, trust=judged.trust * beside.spread)
    return _mode(kernel, apart, strength), _mode(kernel, standing, replace(strength, shared=0.0))


def _mode(kernel: Matrix, judged: Judged, strength: Strength) -> tuple[Matrix, Matrix]:
    """The mean log odds of each model, and the mixed coefficients of the requests."""
    qualities, trust = np.clip(judged.qualities, 0, 1).astype(np.float32), judged.trust.astype(np.float32)
    means = _log_odds(_means(qualities, trust, judged.priors))
    solved = np.zeros_like(qualities)
    found = np.zeros_like(qualities)
    if not trust.any():
        return means, solved
    for _ in range(STEPS):
        chance = _chance(means + found)
        weight = np.maximum(chance * (1 - chance), np.float32(LEAST_WEIGHT))
        target = found + (qualities - chance) / weight
        solved = solve(kernel, target, trust * weight, strength, start=solved)
        found = np.asarray(kernel @ mixed(solved, strength), np.float32)
        left = trust * (qualities - _chance(means + found))
        means = means + np.float32(0.5) * left.sum(0) / ((trust * weight).sum(0) + PRIOR_COUNT)
    return means, mixed(solved, strength)


def _means(qualities: Matrix, trust: Matrix, priors: Matrix) -> Matrix:
    found = ((trust * qualities).sum(0) + PRIOR_COUNT * priors) / (trust.sum(0) + PRIOR_COUNT)
    return np.asarray(found, np.float32)


def _chance(log_odds: Matrix) -> Matrix:
    return np.asarray(1 / (1 + np.exp(-log_odds)), np.float32)


def _log_odds(chance: Matrix) -> Matrix:
    known = np.clip(chance, LOW, HIGH)
    return np.asarray(np.log(known / (1 - known)), np.float32)

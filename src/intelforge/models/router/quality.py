"""How good each model's reply to a request will be: learned from judged replies, on top of the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

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
    """of each model"""
    noise: float
    """variance of a judged quality around what is predicted"""
    scale: Scale | None = None
    points: Points | None = None
    coefficients: Matrix | None = None
    words: Matrix | None = None
    """coefficients of the hashed words, shape (places, models)"""
    seen: Matrix | None = None
    """the trust that each row has, by model"""
    weights: Weights = WEIGHTS
    strength: Strength = STRENGTH

    @classmethod
    def of_priors(cls, priors: Matrix) -> Self:
        """Before anything was seen."""
        return cls(means=priors.astype(np.float32), noise=0.25)

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
        means = _means(judged.qualities, trust, judged.priors)
        residuals = np.where(trust > 0, judged.qualities - means, 0).astype(np.float32)
        solved = solve(kernel, residuals, trust, strength)
        coefficients = mixed(solved, strength)
        left = residuals - kernel @ coefficients
        return cls(
            means=means,
            noise=max(float((trust * left**2).sum() / trust.sum()), 1e-3),
            scale=scale,
            points=points,
            coefficients=coefficients,
            words=weights.words * (words.T @ coefficients),
            seen=trust,
            weights=weights,
            strength=strength,
        )

    def predict(self, request: RequestFeatures) -> tuple[Matrix, Matrix]:
        """The expected quality by each model, and how many judged replies to like requests that rests on."""
        if self.scale is None or self.points is None or self.coefficients is None or self.words is None:
            return self.means, np.zeros_like(self.means)
        near = self.points.likeness(Points.of([request], self.scale), self.weights)[:, 0]
        places, values = request.words[0], self.scale.words(request)
        found = self.means + near @ self.coefficients + values @ self.words[places]
        full = float(self.weights.shape + self.weights.shape_within)
        full += self.weights.embedding * bool(self.points.embeddings.shape[1])
        return np.clip(found, LOW, HIGH), (near / full) ** 2 @ self.seen


def _means(qualities: Matrix, trust: Matrix, priors: Matrix) -> Matrix:
    found = ((trust * qualities).sum(0) + PRIOR_COUNT * priors) / (trust.sum(0) + PRIOR_COUNT)
    return np.asarray(found, np.float32)

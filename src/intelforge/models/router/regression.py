"""Many models' qualities over requests at once: a Gaussian process whose models share what they have in common.

The covariance of model a on request x with model b on request y is `B[a, b] · k(x, y)`, the intrinsic coregionalisation
model (Bonilla, Chai and Williams, 2007) with `B = shared + (1 - shared) · I`: how hard a request is for all is learned
from every model, what one does better than others from its own observations. Any part of the table of requests and
models may be missing. Solved by conjugate gradients, so no matrix over all pairs is ever made.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

TOLERANCE: Final = 1e-3
STEPS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """How much is believed beforehand."""

    noise: float = 4.0
    """variance of one observation, in units of what likeness 1 explains"""
    shared: float = 0.5
    """the part of what a request does to qualities that it does to all models"""


def solve(
    kernel: Matrix, residuals: Matrix, trust: Matrix, strength: Strength, *, start: Matrix | None = None
) -> Matrix:
    """The coefficients, shape (requests, models), zero where nothing was observed.

    `residuals` are what was observed less each model's mean, `trust` how much each counts: 0 where nothing was.
    What is predicted is `likeness_to_requests @ mixed(coefficients, strength)`. `start` are coefficients near these.
    """
    seen = trust > 0
    noise = np.where(seen, strength.noise / np.maximum(trust, 1e-6), 0).astype(np.float32)

    def applied(at: Matrix) -> Matrix:
        found: Matrix = kernel @ mixed(at, strength)
        found[~seen] = 0
        found += noise * at
        return found

    scale = np.where(seen, 1 / (noise + float(kernel[0, 0])), 0).astype(np.float32)  # Jacobi's preconditioner
    target = np.where(seen, residuals, 0).astype(np.float32)
    found = np.zeros_like(target) if start is None else start.copy()
    left = target.copy() if start is None else target - applied(start)
    ahead = scale * left
    direction = ahead.copy()
    size = float(np.vdot(left, ahead))
    goal = TOLERANCE**2 * max(float(np.vdot(target, scale * target)), 1e-12)
    for _ in range(STEPS):
        if size <= goal:
            break
        moved = applied(direction)
        step = size / max(float(np.vdot(direction, moved)), 1e-12)
        found += step * direction
        left -= step * moved
        ahead = scale * left
        size, before = float(np.vdot(left, ahead)), size
        direction = ahead + (size / before) * direction
    return found


def mixed(coefficients: Matrix, strength: Strength) -> Matrix:
    """`coefficients @ B`."""
    common = coefficients.sum(1, keepdims=True)
    found: Matrix = (1 - strength.shared) * coefficients + strength.shared * common
    return found

"""What a month will have cost at its end: the mean of each weekday, with an interval found by resampling.

Two weeks of whole days give weekdays their own means, each drawn towards the mean of all days as if it had two more
days of that. Fewer give one mean for all days, fewer than three no forecast. The interval comes from the residuals:
they are drawn again for the past, whose means are then fitted anew, and for the days to come (a residual bootstrap:
Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 9).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FEWEST_DAYS: Final = 3
SEASONAL_DAYS: Final = 14
MOST_DAYS: Final = 56
"""eight weeks: what is older says little of now"""
SHRINKAGE: Final = 2.0
"""days of the overall mean that each weekday's mean is drawn by"""
DRAWS: Final = 2000
TENTHS: Final = (10.0, 90.0)
"""percentiles: four of five outcomes lie between them"""
WEEK: Final = 7

Floats = npt.NDArray[np.float64]
Weekdays = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the rest of a month will cost, day by day, beside what is spent already."""

    expected: tuple[float, ...]
    """the rest of today, then each day to come"""
    low: float
    """of their sum"""
    high: float
    days: int
    """whole days that it rests on"""
    method: str


def outlook(days: Sequence[float], *, weekday: int, elapsed: float, left: int, seed: int = 0) -> Outlook | None:
    """From the costs of whole days up to yesterday, oldest first; None when they are fewer than three.

    `weekday` is today's, Monday is 0; `elapsed` is the share of today that is over, `left` the number of days after it.
    """
    past = np.asarray(days, np.float64)[-MOST_DAYS:]
    if len(past) < FEWEST_DAYS:
        return None
    seasonal = len(past) >= SEASONAL_DAYS
    before = (weekday - np.arange(len(past), 0, -1)) % WEEK
    after = (weekday + np.arange(left + 1)) % WEEK
    fit = _fitting(before, seasonal=seasonal)
    means = fit @ past
    residuals = past - means[before]
    spread = np.sqrt(len(past) / max(1.0, len(past) - np.trace(fit[before])))
    weights = np.ones(left + 1)
    weights[0] = 1.0 - elapsed
    random = np.random.default_rng(seed)
    again = means[before] + spread * random.choice(residuals, (DRAWS, len(past)))
    noise = spread * random.choice(residuals, (DRAWS, left + 1))
    drawn = (again @ fit.T)[:, after] * weights + noise * np.sqrt(weights)
    low, high = np.percentile(np.maximum(drawn, 0.0).sum(axis=1), TENTHS)
    expected = np.maximum(means[after], 0.0) * weights
    how = "the mean of each weekday" if seasonal else "the mean of all days"
    return Outlook(
        expected=tuple(float(one) for one in expected),
        low=float(low),
        high=float(high),
        days=len(past),
        method=f"{how} over the last {len(past)} whole days; 80 % interval by resampling the residuals",
    )


def _fitting(before: Weekdays, *, seasonal: bool) -> Floats:
    """What takes past days to the mean of each weekday: seven rows, a column for each day."""
    overall = np.full((WEEK, len(before)), 1.0 / len(before))
    if not seasonal:
        return overall
    same = (np.arange(WEEK)[:, None] == before[None, :]).astype(np.float64)
    fitting: Floats = (same + SHRINKAGE * overall) / (same.sum(axis=1, keepdims=True) + SHRINKAGE)
    return fitting

"""The judged replies that the router remembers: a bounded number of requests, each with what its models made of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from intelforge.models.router.quality import Judged
from intelforge.models.router.values import RequestFeatures

LEAST_TRUST: Final = 0.02
"""what is trusted less is as good as forgotten"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one model made of one request: the mean of its judgements."""

    quality: float
    trust: float
    epoch: int
    """of the model, by its alarms"""
    number: int
    """of the request, counted over all"""


@dataclass(slots=True)
class Remembered:
    """A request with what was seen, by model."""

    request: RequestFeatures
    seen: dict[str, Seen] = field(default_factory=dict)


class Experience:
    """Remembers the last `limit` requests; what is older counts half after `half_life` further ones."""

    def __init__(self, *, limit: int, half_life: float) -> None:
        self._limit = limit
        self._half_life = half_life
        self._requests: dict[str, Remembered] = {}
        self._last = ""
        self.number = 0
        """of requests so far: one that several models answer in a row counts once"""

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Remembered]:
        return iter(list(self._requests.values()))

    def add(self, request: RequestFeatures, model: str, quality: float, *, trust: float, epoch: int) -> None:
        """Takes in one judgement; several of one model on one request in one epoch become their mean."""
        self.number += request.key != self._last
        self._last = request.key
        remembered = self._requests.pop(request.key, None) or Remembered(request)
        before = remembered.seen.get(model)
        if before and before.epoch == epoch:
            both = before.trust + trust
            quality, trust = (before.quality * before.trust + quality * trust) / both, both
        remembered.seen[model] = Seen(quality, trust, epoch, self.number)
        self._requests[request.key] = remembered
        if len(self._requests) > self._limit:
            del self._requests[next(iter(self._requests))]

    def restore(self, remembered: Remembered) -> None:
        """Takes in what was written down."""
        self._requests[remembered.request.key] = remembered

    def judged(self, models: Sequence[str], priors: Sequence[float], shifts: Mapping[str, Sequence[float]]) -> Judged:
        """What to learn from, each quality moved back to what the model was before its first alarm."""
        kept = [one for one in self if any(model in one.seen for model in models)]
        qualities = np.zeros((len(kept), len(models)), np.float32)
        trust = np.zeros_like(qualities)
        for row, one in enumerate(kept):
            for column, model in enumerate(models):
                if seen := one.seen.get(model):
                    levels = shifts.get(model, (0.0,))
                    age = self.number - seen.number
                    qualities[row, column] = seen.quality - levels[min(seen.epoch, len(levels) - 1)]
                    trust[row, column] = seen.trust * 0.5 ** (age / self._half_life)
        trust[trust < LEAST_TRUST] = 0
        return Judged(
            requests=[one.request for one in kept],
            qualities=qualities,
            trust=trust,
            priors=np.asarray(priors, np.float32),
        )

"""What a model was like lately: how quick, how long its replies, and whether it has become worse, better or slower.

Change is looked for by cumulative sums (Page, 1954) of what came against what was expected, one for each direction.
"""

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

QUALITY_SLACK: Final = 0.15
"""a mean change of quality smaller than this is not looked for"""
QUALITY_LIMIT: Final = 5.5
LATENCY_SLACK: Final = 0.5
"""in standard deviations of the logarithm"""
LATENCY_LIMIT: Final = 9.0
LATENCY_CLIP: Final = 3.0
FORGETTING: Final = 0.97
"""what is left of the weight of a latency, or of a failure, after the next call"""
AGEING: Final = 0.995
"""what is left of the weight of failures after a call of another model"""
LEAST_SPREAD: Final = 0.25
"""of the logarithm of a latency"""
SHIFT_PRIOR: Final = 3.0
"""observations for which no change is assumed after an alarm"""
SHIFT_LEARNED: Final = 200
"""observations after an alarm by which the change is estimated"""


class Change(StrEnum):
    """What happened to a model."""

    WORSE = "worse"
    BETTER = "better"
    SLOWER = "slower"
    QUICKER = "quicker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A model that is not any more what it was."""

    model: str
    change: Change
    size: float
    """points of quality, or how many times as slow"""
    after: int
    """observations since the change is thought to have begun"""


@dataclass(slots=True)
class CumulativeSum:
    """Adds up what lies beyond the slack on one side; forgets when it falls to nothing."""

    limit: float
    height: float = 0.0
    steps: int = 0
    total: float = 0.0

    def add(self, value: float, slack: float) -> bool:
        """True when the limit is passed."""
        self.height = max(0.0, self.height + value - slack)
        if self.height == 0.0:
            self.steps, self.total = 0, 0.0
        else:
            self.steps += 1
            self.total += value
        return self.height > self.limit

    def clear(self) -> None:
        self.height, self.steps, self.total = 0.0, 0, 0.0


@dataclass(slots=True, kw_only=True)
class Tracker:
    """One model. `shifts` are its levels of quality, one for each epoch: an alarm begins a new one."""

    model: str
    expected_latency: float
    """seconds, of the catalogue"""
    latency_weight: float = 0.0
    log_latency: float = 0.0
    spread: float = 0.6
    output_weight: float = 0.0
    output_tokens: float = 0.0
    asked: float = 0.0
    """calls of late"""
    failed: float = 0.0
    """of those, the ones that failed, or after which the user asked again"""
    calls: int = 0
    judged: int = 0
    shifts: list[float] = field(default_factory=lambda: [0.0])
    since: float = 0.0
    """trust seen in this epoch"""
    residuals: float = 0.0
    """their sum, weighed by trust"""
    worse: CumulativeSum = field(default_factory=lambda: CumulativeSum(QUALITY_LIMIT))
    better: CumulativeSum = field(default_factory=lambda: CumulativeSum(QUALITY_LIMIT))
    slower: CumulativeSum = field(default_factory=lambda: CumulativeSum(LATENCY_LIMIT))
    quicker: CumulativeSum = field(default_factory=lambda: CumulativeSum(LATENCY_LIMIT))

    @property
    def epoch(self) -> int:
        return len(self.shifts) - 1

    @property
    def shift(self) -> float:
        """To be added to what was learned of the model's quality before."""
        return self.shifts[-1]

    @property
    def latency(self) -> float:
        """Seconds expected now: the catalogue's word counts as two calls."""
        prior = math.log(max(self.expected_latency, 1e-3))
        return math.exp((2 * prior + self.latency_weight * self.log_latency) / (2 + self.latency_weight))

    def tokens(self, expected: float) -> float:
        """Of a reply, where `expected` is for any model."""
        return (4 * expected + self.output_weight * self.output_tokens) / (4 + self.output_weight)

    @property
    def reliability(self) -> float:
        """The part of calls of late that were of use: four more count as if they had been."""
        return 1 - self.failed / (self.asked + 4)

    def end(self, *, failed: bool) -> None:
        """Takes in that a call ended, or that the user asked again after it."""
        self.asked = FORGETTING * self.asked + 1
        self.failed = FORGETTING * self.failed + failed

    def age(self) -> None:
        """Takes in that another model was called: what failed long ago may be well again."""
        self.asked *= AGEING
        self.failed *= AGEING

    def judge(self, quality: float, predicted: float, trust: float) -> Alarm | None:
        """Takes in a judged reply; `predicted` is what was expected, the shift included."""
        self.judged += 1
        found = None
        for change, sums, sign in ((Change.WORSE, self.worse, -1), (Change.BETTER, self.better, 1)):
            if sums.add(sign * (quality - predicted) * trust, QUALITY_SLACK * trust):
                found = self._begin(change, sums, sign)
        if self.epoch and self.since < SHIFT_LEARNED and found is None:
            before = self.shifts[-2]
            self.since += trust
            self.residuals += trust * (quality - (predicted - self.shift + before))
            self.shifts[-1] = before + self.residuals / (self.since + SHIFT_PRIOR)
        return found

    def _begin(self, change: Change, sums: CumulativeSum, sign: int) -> Alarm:
        size = sign * sums.total / sums.steps
        self.since, self.residuals = float(sums.steps), sign * sums.total
        self.shifts.append(self.shift + self.residuals / (self.since + SHIFT_PRIOR))
        alarm = Alarm(model=self.model, change=change, size=size, after=sums.steps)
        self.worse.clear()
        self.better.clear()
        return alarm

    def time(self, seconds: float) -> Alarm | None:
        """Takes in how long a reply took."""
        self.calls += 1
        value = math.log(max(seconds, 1e-3))
        if self.latency_weight < 5:
            self._remember(value)
            return None
        away = max(-LATENCY_CLIP, min(LATENCY_CLIP, (value - self.log_latency) / max(self.spread, LEAST_SPREAD)))
        for change, sums, sign in ((Change.SLOWER, self.slower, 1), (Change.QUICKER, self.quicker, -1)):
            if sums.add(sign * away, LATENCY_SLACK):
                alarm = Alarm(
                    model=self.model,
                    change=change,
                    size=math.exp(value - self.log_latency),
                    after=sums.steps,
                )
                self.latency_weight, self.log_latency = 8.0, value
                self.slower.clear()
                self.quicker.clear()
                return alarm
        self._remember(value)
        return None

    def _remember(self, value: float) -> None:
        self.latency_weight = FORGETTING * self.latency_weight + 1
        part = 1 / self.latency_weight
        away = value - self.log_latency if self.latency_weight > 1 else 0.0
        self.log_latency += part * (value - self.log_latency)
        self.spread = math.sqrt(max((1 - part) * (self.spread**2 + part * away**2), LEAST_SPREAD**2))

    def length(self, tokens: int) -> None:
        """Takes in the tokens of a reply."""
        self.output_weight = FORGETTING * self.output_weight + 1
        self.output_tokens += (tokens - self.output_tokens) / self.output_weight

    def as_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """What `as_json` wrote. Raises TypeError, KeyError."""
        sums = {name: CumulativeSum(**values[name]) for name in ("worse", "better", "slower", "quicker")}
        return cls(**{**values, **sums})

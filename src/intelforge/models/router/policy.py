"""Which candidate to choose from what is predicted: the most worth, and now and then one to learn from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from intelforge.core.errors import ConfigError
from intelforge.models.router.values import Prediction, Preference

HOPE: Final = 1.0
"""standard deviations by which a candidate may be better than predicted, to be worth a try"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What may be given up to learn."""

    share: float = 0.03
    """of the calls that may go to another model than the one that is expected to be best"""
    cost_share: float = 0.05
    """of all money spent, that such calls may have cost beyond what the best would have"""
    quality_share: float = 0.005
    """of all quality expected, that such calls may give up, as predicted (conservative bandits, Wu et al., 2016)"""

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 0.5 and 0 <= self.cost_share <= 1 and 0 <= self.quality_share <= 1):
            raise ConfigError(
                f"the router cannot explore with share {self.share}, cost_share {self.cost_share} and quality_share "
                f"{self.quality_share}",
                hint="give a share from 0 to 0.5 and the others from 0 to 1",
            )


NONE: Final = Exploration(share=0.0, cost_share=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """By the predictions for what was chosen."""

    total: float = 0.0
    """US dollars"""
    exploring: float = 0.0
    """US dollars beyond what the best would have cost"""
    quality: float = 0.0
    """the sum of the best models' qualities"""
    given_up: float = 0.0
    """of that, by trying others out"""

    @classmethod
    def of(cls, chosen: Prediction, best: Prediction) -> Self:
        """Of one call of `chosen`, which is `best` unless another is tried out."""
        return cls(
            total=chosen.cost,
            exploring=max(chosen.cost - best.cost, 0.0),
            quality=best.quality,
            given_up=max(best.quality - chosen.quality, 0.0),
        )

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(
            total=self.total + other.total,
            exploring=self.exploring + other.exploring,
            quality=self.quality + other.quality,
            given_up=self.given_up + other.given_up,
        )

    def allows(self, tried: Prediction, best: Prediction, exploration: Exploration) -> bool:
        """Whether `tried` may be called in place of `best`."""
        extra, loss = tried.cost - best.cost, best.quality - tried.quality
        return (extra <= 0 or self.exploring + extra <= exploration.cost_share * self.total) and (
            loss <= 0 or self.given_up + loss <= exploration.quality_share * self.quality
        )


NOTHING: Final = Spending()


def valued(predictions: Sequence[Prediction], preference: Preference) -> list[Prediction]:
    """The predictions with their worth, best first; equal ones by cost, then in the order given."""
    dearest = max((one.cost for one in predictions), default=0.0) or 1.0
    slowest = max((one.latency for one in predictions), default=0.0) or 1.0
    found = [
        replace(
            one,
            worth=one.quality - preference.cost * one.cost / dearest - preference.latency * one.latency / slowest,
        )
        for one in predictions
    ]
    return sorted(found, key=lambda one: (-one.worth, one.cost))


def propensities(ranked: Sequence[Prediction], exploration: Exploration, spending: Spending) -> Mapping[str, float]:
    """The chance of each: all but `share` for the first, the rest by how much better each other might turn out."""
    best = ranked[0]
    hopes = {
        one.model: hope
        for one in ranked[1:]
        if (hope := one.worth + HOPE * math.hypot(one.uncertainty, best.uncertainty) - best.worth) > 0
        and spending.allows(one, best, exploration)
    }
    total = sum(hopes.values())
    if not total or not exploration.share:
        return {best.model: 1.0}
    chances = {model: exploration.share * hope / total for model, hope in hopes.items()}
    return {best.model: 1.0 - exploration.share, **chances}


def drawn(chances: Mapping[str, float], at: float) -> str:
    """The model at a place from 0 to 1 of the chances laid end to end."""
    for model, chance in chances.items():
        if at < chance:
            return model
        at -= chance
    return next(iter(chances))

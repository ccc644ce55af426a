"""Which candidate to choose from what is predicted: the most worth, and now and then one to learn from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

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

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 0.5 and 0 <= self.cost_share <= 1):
            raise ConfigError(
                f"the router cannot explore with share {self.share} and cost_share {self.cost_share}",
                hint="give a share from 0 to 0.5 and a cost_share from 0 to 1",
            )


NONE: Final = Exploration(share=0.0, cost_share=0.0)


@dataclass(slots=True, kw_only=True)
class Spending:
    """US dollars by the predictions for what was chosen."""

    total: float = 0.0
    exploring: float = 0.0

    def allows(self, extra: float, exploration: Exploration) -> bool:
        return extra <= 0 or self.exploring + extra <= exploration.cost_share * self.total

    def add(self, cost: float, extra: float) -> None:
        self.total += cost
        self.exploring += max(extra, 0.0)


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
        and spending.allows(one.cost - best.cost, exploration)
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

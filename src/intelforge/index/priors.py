"""What speaks for a document whatever the query: how new it is, and how good. Off unless the settings ask for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from intelforge.core.values import Attributes, PartScore
from intelforge.index.explain import weighed
from intelforge.index.search import Fused

RECENCY_WEIGHT: Final = 0.25
"""of how new a document is, against 1 for what the search gave it"""
_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """Which priors count, and how much."""

    half_life_days: float = 0.0
    """after which a document counts as half as new; 0 for not at all"""
    quality_weight: float = 0.0
    """against 1 for what the search gave; 0 for not at all"""
    at: float = 0.0
    """now, in seconds since the epoch"""

    def __bool__(self) -> bool:
        return bool(self.half_life_days or self.quality_weight)

    def applied(self, found: Sequence[Fused], attributes: Mapping[str, Attributes]) -> list[Fused]:
        """What was found with the priors in its scores, best first; ties by chunk id."""
        scored = [self._scored(entry, attributes.get(entry.document_id, Attributes())) for entry in found]
        return sorted(scored, key=lambda entry: (-entry.score, entry.chunk_id))

    def _scored(self, entry: Fused, attributes: Attributes) -> Fused:
        for name, value, weight in self._values(attributes):
            share = 1 / (1 + weight)
            own = PartScore(part=name, score=value, scaled=value, weight=1 - share)
            entry = replace(
                entry, score=share * entry.score + (1 - share) * value, parts=weighed(entry.parts, share, own)
            )
        return entry

    def _values(self, attributes: Attributes) -> list[tuple[str, float, float]]:
        values = []
        if self.half_life_days:
            age = max(0.0, self.at - attributes.modified) / _DAY
            values.append(("recency", 0.5 ** (age / self.half_life_days), RECENCY_WEIGHT))
        if self.quality_weight:
            values.append(("quality", attributes.quality, self.quality_weight))
        return values

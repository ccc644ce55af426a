"""How often the search for similar questions would give the reply of another one, measured on questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import InvalidInputError
from intelforge.models.response_cache.same import difference
from intelforge.models.response_cache.similar import unit

BLOCK: Final = 512
EXAMPLES: Final = 5
THRESHOLDS: Final = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A question, and what it asks: questions of one group have one answer."""

    text: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What would happen if all questions were asked one after the other, each finding those before and after it."""

    threshold: float
    questions: int
    false_hits: int
    """questions that would be given the reply of another group"""
    false_hits_by_vector: int
    """the same without looking at numbers, negations and names"""
    repeated: int
    """questions whose group has another question"""
    true_hits: int
    """of those, the ones that would be given a reply of their own group"""
    examples: tuple[tuple[str, str], ...] = ()
    """of false hits"""

    @property
    def false_hit_rate(self) -> float:
        return self.false_hits / self.questions

    @property
    def hit_rate(self) -> float | None:
        """Of repeated questions; None when there are none."""
        return self.true_hits / self.repeated if self.repeated else None


def measure(
    questions: Sequence[Labelled], vectors: NDArray[np.float32], *, thresholds: Sequence[float] = THRESHOLDS
) -> list[Measured]:
    """Counts hits, true and false, at each threshold. Raises InvalidInputError for fewer than two questions."""
    if len(questions) < 2:
        raise InvalidInputError("two questions at least are needed", hint="give a file with more of them")
    pairs = _nearest(questions, unit(np.asarray(vectors, np.float32)), min(thresholds))
    groups = [question.group for question in questions]
    repeated = len(questions) - sum(groups.count(group) == 1 for group in set(groups))
    return [_counted(questions, pairs, threshold, repeated) for threshold in thresholds]


Pairs = list[tuple[list[tuple[float, int]], list[tuple[float, int]]]]
"""for each question the others above the lowest threshold, best first: those nothing tells apart, and all"""


def _nearest(questions: Sequence[Labelled], vectors: NDArray[np.float32], lowest: float) -> Pairs:
    found: Pairs = []
    for start in range(0, len(questions), BLOCK):
        similarities = vectors[start : start + BLOCK] @ vectors.T
        for row, values in enumerate(similarities):
            place = start + row
            others = [int(other) for other in np.nonzero(values >= lowest)[0] if other != place]
            near = sorted(((float(values[other]), other) for other in others), reverse=True)
            text = questions[place].text
            found.append(([one for one in near if not difference(text, questions[one[1]].text)], near))
    return found


def _counted(questions: Sequence[Labelled], pairs: Pairs, threshold: float, repeated: int) -> Measured:
    true = false = by_vector = 0
    examples = []
    for place, (same, near) in enumerate(pairs):
        group = questions[place].group
        if near and near[0][0] >= threshold:
            by_vector += questions[near[0][1]].group != group
        if not same or same[0][0] < threshold:
            continue
        other = questions[same[0][1]]
        if other.group == group:
            true += 1
        else:
            false += 1
            examples.append((questions[place].text, other.text))
    return Measured(
        threshold=threshold,
        questions=len(questions),
        false_hits=false,
        false_hits_by_vector=by_vector,
        repeated=repeated,
        true_hits=true,
        examples=tuple(examples[:EXAMPLES]),
    )

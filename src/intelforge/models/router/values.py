"""The router's values: who can be chosen, what is asked, what is wanted, what was decided, what came of it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import InvalidInputError

Vector = NDArray[np.float32]

EXPECTED_OUTPUT: Final = 400
"""tokens of a reply when nothing is known"""
CHARACTERS_PER_TOKEN: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may be chosen, as the catalogue has it."""

    name: str
    input_price: float = 0.0
    """US dollars for a million tokens"""
    output_price: float = 0.0
    latency: float = 2.0
    """seconds that a whole reply is expected to take, before any was seen"""
    context: int | None = None
    """tokens of its window; None is not known, and taken as enough"""
    tools: bool = True
    images: bool = False
    json: bool = True
    local: bool = False
    """runs on this machine: what is asked of it stays here"""
    prior: float = 0.5
    """the share of requests that it is expected to do well, before any was seen"""

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars."""
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFeatures:
    """A request as the router knows it: numbers, no words that could be read."""

    shape: Vector = field(repr=False)
    words: tuple[NDArray[np.int32], Vector] = field(repr=False)
    """places and values of the hashed words"""
    embedding: Vector | None = field(default=None, repr=False)
    """of unit length; None without an embedder"""
    input_tokens: int = 0
    output_tokens: int = EXPECTED_OUTPUT
    """expected"""
    key: str = ""
    """the same for the same text"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a model must be able to do for this request."""

    context: int = 0
    """tokens that must fit, the reply included"""
    tools: bool = False
    images: bool = False
    json: bool = False
    local_only: bool = False

    def refusal(self, candidate: Candidate) -> str:
        """Why a candidate cannot take it, in a few words; empty when it can."""
        if self.local_only and not candidate.local:
            return "not on this machine"
        if self.tools and not candidate.tools:
            return "cannot call tools"
        if self.images and not candidate.images:
            return "cannot see images"
        if self.json and not candidate.json:
            return "cannot follow a schema"
        if candidate.context is not None and self.context > candidate.context:
            return f"reads {candidate.context:,} tokens, not {self.context:,}"
        return ""

    def within_reach_of(self, candidates: Iterable[Candidate]) -> Self:
        """With no more context than the one that reads most has, of those that can take the request otherwise."""
        otherwise = replace(self, context=0)
        windows = [one.context for one in candidates if not otherwise.refusal(one)]
        most = max((window for window in windows if window is not None), default=self.context)
        return self if None in windows else replace(self, context=min(self.context, most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What counts: a model's worth is its quality, less these for being the dearest, and the slowest, of all.

    `cost=0.2` says that the dearest candidate must be 20 points better than one that costs nothing.
    """

    name: str = "weights"
    cost: float = 0.0
    latency: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(weight) and 0 <= weight <= 10 for weight in (self.cost, self.latency)):
            raise InvalidInputError(
                f"the weights of a preference are from 0 to 10, not cost {self.cost} and latency {self.latency}",
                hint="write for example cost=0.2,latency=0.1",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """`quality`, `balanced`, `cheap`, `fast`, or weights: `cost=0.2,latency=0.1`. Raises InvalidInputError."""
        text = text.strip() or "balanced"
        if text in PREFERENCES:
            cost, latency = PREFERENCES[text]
            return cls(name=text, cost=cost, latency=latency)
        try:
            weights = {name.strip(): float(value) for name, value in (part.split("=") for part in text.split(","))}
            return cls(name=text, **weights)
        except (TypeError, ValueError):
            raise InvalidInputError(
                f"{text!r} is no preference of the router",
                hint=f"give {', '.join(PREFERENCES)}, or weights such as cost=0.2,latency=0.1",
            ) from None


PREFERENCES: Final[Mapping[str, tuple[float, float]]] = {
    "quality": (0.005, 0.0),
    "balanced": (0.1, 0.03),
    "cheap": (0.5, 0.01),
    "fast": (0.05, 0.4),
}
"""The weights of cost and latency by name."""


class Judgement(StrEnum):
    """Who says how good a reply was."""

    RATING = "rating"
    VERIFIED = "verified"
    """the answer's citations were checked"""
    EVALUATION = "evaluation"
    RETRY = "retry"
    """the user asked again, or the next model was tried"""
    NONE = "none"
    """nobody: cost and latency alone were seen"""


TRUST: Final[Mapping[Judgement, float]] = {
    Judgement.RATING: 0.8,
    Judgement.VERIFIED: 1.0,
    Judgement.EVALUATION: 1.0,
    Judgement.RETRY: 0.0,
    Judgement.NONE: 0.0,
}
"""How much one such judgement counts beside a verified one. Retries are told of bad replies alone: they say how often a
model fails (`Tracker.reliability`), not how good its replies are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What came of giving a request to a model."""

    features: RequestFeatures
    model: str
    quality: float | None
    """from 0 to 1; None when nobody said"""
    cost: float | None = None
    """US dollars"""
    latency: float | None = None
    """seconds"""
    output_tokens: int | None = None
    source: Judgement = Judgement.EVALUATION

    def __post_init__(self) -> None:
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise InvalidInputError(f"the quality of a reply is from 0 to 1, not {self.quality}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What is expected of a candidate for one request."""

    model: str
    quality: float
    uncertainty: float
    """one standard deviation of `quality`"""
    confidence: float
    """0 when only the catalogue is known, towards 1 with experience of such requests"""
    cost: float
    """US dollars"""
    latency: float
    """seconds"""
    worth: float
    """quality less what cost and latency take from it under the preference"""
    propensity: float
    """the chance with which it was chosen"""
    refused: str = ""
    """why it could not be chosen"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which candidate a request goes to, and why."""

    model: str
    ranking: tuple[str, ...]
    """the candidates that could be chosen, best first: what to fall back to"""
    predictions: tuple[Prediction, ...]
    """of every candidate, those that were refused last"""
    reason: str
    """one sentence"""
    preference: str
    explored: bool = False
    """chosen to learn, not because it is expected to be best"""
    propensity: float = 1.0
    """the chance with which this model was chosen"""

    def as_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        return {
            "model": self.model,
            "ranking": list(self.ranking),
            "predictions": [{name: getattr(one, name) for name in Prediction.__slots__} for one in self.predictions],
            "reason": self.reason,
            "preference": self.preference,
            "explored": self.explored,
            "propensity": self.propensity,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The decision that `as_json` wrote. Raises InvalidInputError."""
        try:
            predictions = tuple(Prediction(**one) for one in values["predictions"])
            return cls(**{**values, "ranking": tuple(values["ranking"]), "predictions": predictions})
        except (KeyError, TypeError) as error:
            raise InvalidInputError(f"this is no decision of the router: {error}") from error

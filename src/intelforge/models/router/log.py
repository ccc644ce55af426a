"""What the router keeps of its calls, and the contract of what keeps it.

A record holds the request's features, never its words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, Self

import numpy as np

from intelforge.core.errors import InvalidInputError
from intelforge.models.router.reading import read_request
from intelforge.models.router.shape import NAMES
from intelforge.models.router.values import EXPECTED_OUTPUT, Judgement, Observation, RequestFeatures
from intelforge.models.router.words import PLACES

KEPT: Final = 10_000
"""records, the last ones"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """One call that the router decided on, and what came of it."""

    id: str
    at: datetime
    request: RequestFeatures
    model: str
    propensity: float
    """the chance with which this model was chosen"""
    quality: float | None = None
    source: Judgement = Judgement.NONE
    cost: float | None = None
    """US dollars"""
    latency: float | None = None
    """seconds"""
    output_tokens: int | None = None

    @property
    def observation(self) -> Observation:
        return Observation(
            features=self.request,
            model=self.model,
            quality=self.quality,
            cost=self.cost,
            latency=self.latency,
            output_tokens=self.output_tokens,
            source=self.source,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, one line of a log; `from_json` reads them."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "request": request_as_json(self.request),
            "model": self.model,
            "propensity": self.propensity,
            "quality": self.quality,
            "source": self.source.value,
            "cost": self.cost,
            "latency": self.latency,
            "output_tokens": self.output_tokens,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """A line of a log: ours, or with `text` in place of `request`. Raises InvalidInputError."""
        try:
            request = request_from_json(values["request"]) if "request" in values else read_request(str(values["text"]))
            propensity = float(values.get("propensity", 1.0))
            if not 0 < propensity <= 1:
                raise ValueError(f"a propensity is above 0 and at most 1, not {propensity}")
            return cls(
                id=str(values.get("id", "")),
                at=datetime.fromisoformat(values.get("at", "1970-01-01T00:00:00+00:00")),
                request=request,
                model=str(values["model"]),
                propensity=propensity,
                quality=None if values.get("quality") is None else float(values["quality"]),
                source=Judgement(values.get("source", Judgement.EVALUATION)),
                cost=None if values.get("cost") is None else float(values["cost"]),
                latency=None if values.get("latency") is None else float(values["latency"]),
                output_tokens=None if values.get("output_tokens") is None else int(values["output_tokens"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise InvalidInputError(
                f"a line of the log cannot be read: {what}",
                hint='give {"text" or "request", "model", "propensity", "quality"} in each line',
            ) from error


class RouterLog(Protocol):
    """Keeps routed calls and what was learned. The methods may be called from several processes."""

    async def record(self, routed: Routed) -> None:
        """Adds a call; one of the same id takes its place. The oldest beyond KEPT are forgotten."""
        ...

    async def judge(self, call: str, quality: float, source: Judgement) -> Routed:
        """Says how good a recorded call's reply was. Raises NotFoundError."""
        ...

    async def all(self) -> Sequence[Routed]:
        """Every call on record, oldest first."""
        ...

    async def save(self, name: str, state: bytes) -> None:
        """Keeps a router's state in place of the one before."""
        ...

    async def load(self, name: str) -> bytes | None:
        """The state that was kept last under this name."""
        ...


def checked_quality(quality: float) -> float:
    """The quality itself. Raises InvalidInputError when it is not from 0 to 1."""
    if not 0 <= quality <= 1:
        raise InvalidInputError(f"the quality of a reply is from 0 to 1, not {quality}")
    return quality


def request_as_json(request: RequestFeatures) -> dict[str, Any]:
    places, values = request.words
    return {
        "shape": [round(float(value), 4) for value in request.shape],
        "places": places.tolist(),
        "values": [round(float(value), 4) for value in values],
        "embedding": None if request.embedding is None else [round(float(value), 5) for value in request.embedding],
        "input_tokens": request.input_tokens,
        "output_tokens": request.output_tokens,
        "key": request.key,
    }


def request_from_json(values: Mapping[str, Any]) -> RequestFeatures:
    """Raises KeyError, TypeError and ValueError for what is no request."""
    places = np.asarray(values["places"], np.int32)
    shape = np.asarray(values["shape"], np.float32)
    if shape.shape != (len(NAMES),) or (len(places) and not 0 <= int(places.min()) <= int(places.max()) < PLACES):
        raise ValueError("the features of a request are of another version")
    embedding = values.get("embedding")
    return RequestFeatures(
        shape=shape,
        words=(places, np.asarray(values["values"], np.float32)),
        embedding=None if embedding is None else np.asarray(embedding, np.float32),
        input_tokens=int(values.get("input_tokens", 0)),
        output_tokens=int(values.get("output_tokens", EXPECTED_OUTPUT)),
        key=str(values.get("key", "")),
    )

"""What the router keeps of a call: the request's features, never its words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np

from intelforge.core.errors import InvalidInputError
from intelforge.models.router.reading import read_request
from intelforge.models.router.shape import NAMES
from intelforge.models.router.values import EXPECTED_OUTPUT, Judgement, Observation, RequestFeatures
from intelforge.models.router.words import PLACES


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
    replied: str = ""
    """the model that gave the reply, where it was not the chosen one; what is said above is of the chosen one"""

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
            "replied": self.replied,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """A line of a log: ours, or with `text` in place of `request`. Raises InvalidInputError."""
        try:
            given = values.get("request")
            request = request_from_json(given) if given is not None else read_request(_text(values, "text"))
            propensity, tokens = float(values.get("propensity", 1.0)), _amount(values, "output_tokens")
            if not 0 < propensity <= 1:
                raise ValueError(f"a propensity is above 0 and at most 1, not {propensity}")
            return cls(
                id=str(values.get("id", "")),
                at=datetime.fromisoformat(values.get("at", "1970-01-01T00:00:00+00:00")),
                request=request,
                model=_text(values, "model"),
                propensity=propensity,
                quality=None if values.get("quality") is None else checked_quality(float(values["quality"])),
                source=Judgement(values.get("source", Judgement.EVALUATION)),
                cost=_amount(values, "cost"),
                latency=_amount(values, "latency"),
                output_tokens=None if tokens is None else int(tokens),
                replied=str(values.get("replied", "")),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise InvalidInputError(
                f"a line of the log cannot be read: {what}",
                hint='give {"text" or "request", "model", "propensity", "quality"} in each line',
            ) from error


def _text(values: Mapping[str, Any], name: str) -> str:
    if not isinstance(values[name], str):
        raise ValueError(f"{name} is no text")
    return str(values[name])


def _amount(values: Mapping[str, Any], name: str) -> float | None:
    found = values.get(name)
    if found is not None and not (math.isfinite(float(found)) and float(found) >= 0):
        raise ValueError(f"{name} is zero or more, not {found}")
    return None if found is None else float(found)


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
    places, words = np.asarray(values["places"], np.int32), np.asarray(values["values"], np.float32)
    shape = np.asarray(values["shape"], np.float32)
    given = values.get("embedding")
    embedding = None if given is None else np.asarray(given, np.float32)
    if not all(np.isfinite(one).all() for one in (words, shape, *(() if embedding is None else (embedding,)))):
        raise ValueError("a feature of a request is no number")
    if (
        len(words) != len(places)
        or shape.shape != (len(NAMES),)
        or (len(places) and not 0 <= int(places.min()) <= int(places.max()) < PLACES)
    ):
        raise ValueError("the features of a request are of another version")
    return RequestFeatures(
        shape=shape,
        words=(places, words),
        embedding=embedding,
        input_tokens=int(values.get("input_tokens", 0)),
        output_tokens=int(values.get("output_tokens", EXPECTED_OUTPUT)),
        key=str(values.get("key", "")),
    )

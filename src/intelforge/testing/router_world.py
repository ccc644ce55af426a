"""A small world to route in: sums, at which one model is bad, and small talk, at which both are good."""

import random

import numpy as np

from intelforge.models.router.reading import read_request
from intelforge.models.router.values import Candidate, Judgement, Observation, RequestFeatures, Vector

SMALL = Candidate(name="small", input_price=0.1, output_price=0.1, latency=1.0, prior=0.5, local=True)
LARGE = Candidate(name="large", input_price=2.0, output_price=8.0, latency=2.0, prior=0.6, tools=True, images=True)
BOTH = (SMALL, LARGE)
GOOD = {("sum", "small"): 0.1, ("sum", "large"): 0.9, ("talk", "small"): 0.9, ("talk", "large"): 0.85}
"""the chance of a good reply by kind and model"""
_THINGS = ("river", "garden", "novel", "holiday", "kitchen", "market", "winter", "teacher", "village", "music")


def text(kind: str, draw: random.Random) -> str:
    if kind == "sum":
        one, two, three = (draw.randint(10, 9999) for _ in range(3))
        return f"Calculate {one} + {two} * {three} - {draw.randint(2, 99)} = ?"
    return f"Tell me something about the {draw.choice(_THINGS)} and the {draw.choice(_THINGS)} of your childhood."


def request(kind: str, draw: random.Random, *, vectors: bool = False) -> RequestFeatures:
    return read_request(text(kind, draw), embedding=vector(kind, draw) if vectors else None)


def vector(kind: str, draw: random.Random) -> Vector:
    numbers = np.asarray([draw.gauss(0, 0.3) for _ in range(8)], np.float32)
    numbers[0 if kind == "sum" else 1] += 1
    return numbers


def observation(kind: str, model: str, draw: random.Random, *, good: float | None = None) -> Observation:
    chance = GOOD[kind, model] if good is None else good
    return Observation(
        features=request(kind, draw),
        model=model,
        quality=float(draw.random() < chance),
        source=Judgement.EVALUATION,
        latency=draw.lognormvariate(0, 0.3) * (1.0 if model == "small" else 2.0),
    )

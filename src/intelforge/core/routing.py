"""What the router tells of itself, and of what another policy would have scored."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStanding:
    """What the router knows of one model."""

    model: str
    candidate: bool
    """can be chosen now"""
    local: bool
    prior: float
    """the quality that the catalogue expects"""
    quality: float
    """the mean that was learned, over all kinds of requests, with what has changed since"""
    shift: float
    """points of quality that it has gained or lost since it was first known"""
    latency: float
    """seconds expected now"""
    input_price: float
    output_price: float
    """US dollars for a million tokens"""
    calls: int
    judged: int
    """calls whose quality somebody judged"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterStatus:
    """What the router has learned so far."""

    frozen: bool
    preference: str
    exploration_share: float
    """of the calls that may be given to another model to learn"""
    exploration_cost_share: float
    """of the money that such calls may have cost more"""
    requests: int
    """remembered ones"""
    spent: float
    """US dollars, by the predictions for what was chosen"""
    spent_exploring: float
    """of these, beyond what the best would have cost"""
    models: tuple[ModelStanding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its 95 % interval, which is from 0 to 1 where nothing is known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyValue:
    """What a policy would have scored."""

    policy: str
    ips: Estimate
    normalised: Estimate
    doubly_robust: Estimate
    cost: Estimate
    """US dollars a call, by the candidates' prices"""
    agreed: int
    """calls that it would have given to the model that was called"""
    effective: float
    """calls that its estimate by IPS is worth (Kish)"""
    shares: Mapping[str, float]
    """of the calls, by model"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A log replayed: what was scored, and what each policy would have."""

    calls: int
    """judged ones"""
    logged: Estimate
    logged_cost: Estimate | None
    """of those whose cost the log says; None when it says none"""
    policies: tuple[PolicyValue, ...]
    notes: tuple[str, ...] = ()

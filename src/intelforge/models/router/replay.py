"""What another policy would have scored on logged calls: off-policy estimates, with intervals by the bootstrap.

A call counts where the policy would have chosen the model that was called, by the inverse of the chance it had: IPS
(Horvitz and Thompson, 1952), its self-normalised form, and the doubly robust estimate (Dudík, Langford and Li, 2011),
which adds what a model of quality, learned from the other half of the log, says of all calls.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import InvalidInputError
from intelforge.core.routing import Estimate, PolicyValue, Replay
from intelforge.models.router.log import Routed
from intelforge.models.router.policy import NONE
from intelforge.models.router.router import Options, Router
from intelforge.models.router.values import TRUST, Candidate, Preference, RequestFeatures

Floats = NDArray[np.float64]

RESAMPLED: Final = 1000
BOUNDS: Final = (2.5, 97.5)
LEAST: Final = 20
"""judged calls without which nothing is said"""
LEAST_PROPENSITY: Final = 0.005
"""smaller chances are taken for this one: some bias for much less variance"""


def replay(
    log: Sequence[Routed], candidates: Sequence[Candidate], preferences: Sequence[Preference], *, seed: int = 0
) -> Replay:
    """The log held against the router under each preference, and against each model called always.

    The router and the model of quality are learned on one half of the log and asked about the other, both ways round.
    Raises InvalidInputError when too few calls were judged.
    """
    judged = [one for one in log if one.quality is not None and TRUST[one.source] > 0]
    if len(judged) < LEAST:
        raise InvalidInputError(
            f"the log has {len(judged)} judged calls, and {LEAST} are needed to say anything",
            hint="let calls be rated or checked first",
        )
    names = [one.name for one in candidates]
    halves = [_learned([one for place, one in enumerate(judged) if place % 2 != half], candidates) for half in (0, 1)]
    expected = np.asarray([_qualities(halves[place % 2], one.request) for place, one in enumerate(judged)])
    costs = np.asarray([_costs(halves[place % 2], one.request) for place, one in enumerate(judged)])
    policies: dict[str, list[str]] = {
        preference.name: [
            halves[place % 2].decide(one.request, preference=preference).model for place, one in enumerate(judged)
        ]
        for preference in preferences
    }
    policies |= {f"always {name}": [name] * len(judged) for name in names}
    table = _Table(
        names=names,
        called=np.asarray([names.index(one.model) if one.model in names else -1 for one in judged]),
        chances=np.maximum([one.propensity for one in judged], LEAST_PROPENSITY),
        qualities=np.asarray([one.quality for one in judged], float),
        expected=expected,
        costs=costs,
        drawn=np.random.default_rng(seed).integers(0, len(judged), (RESAMPLED, len(judged))),
    )
    return Replay(
        calls=len(judged),
        logged=table.mean(table.qualities),
        logged_cost=_mean_cost(judged, seed=seed),
        policies=tuple(_value(name, chosen, table) for name, chosen in policies.items()),
        notes=_notes(judged, names),
    )


def _mean_cost(judged: Sequence[Routed], *, seed: int) -> Estimate | None:
    costs = np.asarray([one.cost for one in judged if one.cost is not None], float)
    if not len(costs):
        return None
    return _mean(costs, np.random.default_rng(seed).integers(0, len(costs), (RESAMPLED, len(costs))))


def _notes(judged: Sequence[Routed], names: Collection[str]) -> tuple[str, ...]:
    """What of the log no policy can be held against."""
    others = [one.model for one in judged if one.model not in names]
    if not others:
        return ()
    return (
        f"{len(others)} of {len(judged)} judged calls went to models that the router cannot choose now: "
        f"{', '.join(sorted(set(others)))}",
    )


def _mean(values: Floats, drawn: NDArray[np.int64]) -> Estimate:
    low, high = np.percentile(values[drawn].mean(1), BOUNDS)
    return Estimate(value=float(values.mean()), low=float(low), high=float(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The judged calls as arrays, and the rows of each resample."""

    names: Sequence[str]
    called: NDArray[np.int64]
    chances: Floats
    qualities: Floats
    expected: Floats
    costs: Floats
    drawn: NDArray[np.int64]

    def mean(self, values: Floats) -> Estimate:
        return _mean(values, self.drawn)

    def ratio(self, values: Floats, weights: Floats) -> Estimate:
        if not weights.any():
            return Estimate(value=0.0, low=0.0, high=1.0)
        sums = weights[self.drawn].sum(1)
        found = values[self.drawn].sum(1)[sums > 0] / sums[sums > 0]
        low, high = np.percentile(found, BOUNDS)
        return Estimate(value=float(values.sum() / weights.sum()), low=float(low), high=float(high))


def _value(name: str, chosen: Sequence[str], table: _Table) -> PolicyValue:
    rows = np.arange(len(chosen))
    columns = np.asarray([table.names.index(model) for model in chosen])
    same = columns == table.called
    weights = same / table.chances
    direct = table.expected[rows, columns]
    total = float((weights**2).sum())
    ips, robust = table.mean(weights * table.qualities), table.mean(direct + weights * (table.qualities - direct))
    return PolicyValue(
        policy=name,
        ips=ips if total else replace(ips, low=0.0, high=1.0),
        normalised=table.ratio(weights * table.qualities, weights),
        doubly_robust=robust if total else replace(robust, low=0.0, high=1.0),
        cost=table.mean(table.costs[rows, columns]),
        agreed=int(same.sum()),
        effective=float(weights.sum()) ** 2 / total if total else 0.0,
        shares={model: float(np.mean(columns == column)) for column, model in enumerate(table.names)},
    )


def _learned(log: Sequence[Routed], candidates: Sequence[Candidate]) -> Router:
    router = Router(candidates, Options(exploration=NONE))
    router.study(one.observation for one in log)
    router.measure(one.observation for one in log)
    router.learn()
    return router


def _qualities(router: Router, request: RequestFeatures) -> list[float]:
    return [one.quality for one in router.predict(request)]


def _costs(router: Router, request: RequestFeatures) -> list[float]:
    return [one.cost for one in router.predict(request)]

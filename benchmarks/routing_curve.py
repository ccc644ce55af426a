"""How the router's quality grows with what it has seen, beside always calling the best model.

`judged`: the first prompts of an order by chance, each judged for every candidate, as an evaluation gives them; then
the choice for prompts it has not seen. `online`: from the catalogue alone, one prompt after another, each judged for
the chosen candidate only, with exploration; the quality of all calls so far. `opened`: the same after an evaluation of
all candidates on OPENING prompts, which count as no calls.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from routing_data import Table

from intelforge.models.router.policy import NONE
from intelforge.models.router.router import Options, Router
from intelforge.models.router.values import Judgement, Observation, Preference, RequestFeatures

SIZES: Final = (50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000)
OPENING: Final = 50
TESTED: Final = 1000
ORDERS: Final = 3
QUALITY: Final = Preference.parse("quality")

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


def curves(table: Table, requests: Sequence[RequestFeatures]) -> dict[str, Any]:
    """By number of observations: the router's quality over that of the best single model, less 1.

    The mean over the orders, and the least of all: of `online` and `opened` at any call from the 50th on."""
    orders = [np.random.default_rng(seed) for seed in range(ORDERS)]
    runs = [_judged(table, requests, random) for random in orders]
    sizes = sorted(set.intersection(*(set(run) for run in runs)))
    found: dict[str, Any] = {
        "judged": {str(size): round(float(np.mean([run[size] for run in runs])), 4) for size in sizes},
        "judged_least": round(min(min(run.values()) for run in runs), 4),
    }
    for name, opening in (("online", 0), ("opened", OPENING)):
        every = np.stack([_online(table, requests, np.random.default_rng(seed), opening) for seed in range(ORDERS)])
        sizes = [size for size in SIZES if size <= every.shape[1]]
        found[name] = {str(size): round(float(every[:, size - 1].mean()), 4) for size in sizes}
        found[f"{name}_least"] = round(float(every[:, SIZES[0] - 1 :].min()), 4)
    return found


def _judged(table: Table, requests: Sequence[RequestFeatures], random: np.random.Generator) -> dict[int, float]:
    order = random.permutation(len(requests))
    held = min(TESTED, len(order) // 5)
    test, rest = order[:held], order[held:]
    best = table.scores[test].mean(0)[table.scores.mean(0).argmax()]
    router = Router(table.candidates, Options(preference=QUALITY, exploration=NONE))
    found: dict[int, float] = {}
    done = 0
    for size in (size for size in SIZES if size <= len(rest)):
        _evaluate(router, table, requests, rest[done:size])
        done = size
        chosen = [_column(table, router.decide(requests[row]).model) for row in test]
        found[size] = float(table.scores[test, chosen].mean() / best - 1)
    return found


def _online(table: Table, requests: Sequence[RequestFeatures], random: np.random.Generator, opening: int) -> Floats:
    """After each call, by all calls so far."""
    order = random.permutation(len(requests))[: SIZES[-1] + opening]
    best = table.scores.mean(0).argmax()
    router = Router(table.candidates, Options(preference=QUALITY, seed=int(random.integers(2**31))))
    if opening:
        _evaluate(router, table, requests, order[:opening])
    chosen = []
    for row in order[opening:]:
        column = _column(table, router.decide(requests[row]).model)
        chosen.append(column)
        router.observe(_observation(table, requests, row, column))
        if router.due:
            router.learn()
    calls = order[opening:]
    ours, always = np.cumsum(table.scores[calls, chosen]), np.cumsum(table.scores[calls, best])
    return np.asarray(ours / np.maximum(always, 1e-9) - 1)


def _evaluate(router: Router, table: Table, requests: Sequence[RequestFeatures], rows: Rows) -> None:
    router.study(
        _observation(table, requests, int(row), column) for row in rows for column in range(len(table.candidates))
    )
    router.learn()


def _observation(table: Table, requests: Sequence[RequestFeatures], row: int, column: int) -> Observation:
    return Observation(
        features=requests[row],
        model=table.candidates[column].name,
        quality=float(table.scores[row, column]),
        source=Judgement.EVALUATION,
    )


def _column(table: Table, name: str) -> int:
    return next(column for column, one in enumerate(table.candidates) if one.name == name)

"""How the router's quality grows with what it has seen, beside always calling the best model.

`judged`: the first prompts of an order by chance, each judged for every candidate, as an evaluation gives them; then
the choice for prompts it has not seen. `online`: from the catalogue alone, one prompt after another, each judged for
the chosen candidate only, with exploration; the quality of all calls so far.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from routing_data import Table

from intelforge.models.router.policy import NONE
from intelforge.models.router.router import Options, Router
from intelforge.models.router.values import Judgement, Observation, Preference, RequestFeatures

SIZES: Final = (50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000)
TESTED: Final = 1000
ORDERS: Final = 3
QUALITY: Final = Preference.parse("quality")


def curves(table: Table, requests: Sequence[RequestFeatures]) -> dict[str, Any]:
    """By number of observations: the router's quality over that of the best single model, less 1.

    The mean over the orders, and the least of all."""
    found: dict[str, Any] = {}
    for name, curve in (("judged", _judged), ("online", _online)):
        runs = [curve(table, requests, np.random.default_rng(seed)) for seed in range(ORDERS)]
        sizes = sorted(set.intersection(*(set(run) for run in runs)))
        found[name] = {str(size): round(float(np.mean([run[size] for run in runs])), 4) for size in sizes}
        found[f"{name}_least"] = round(min(min(run.values()) for run in runs), 4)
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
        for row in rest[done:size]:
            router.study(
                Observation(features=requests[row], model=one.name, quality=float(table.scores[row, column]))
                for column, one in enumerate(table.candidates)
            )
        router.learn()
        done = size
        chosen = [_column(table, router.decide(requests[row]).model) for row in test]
        found[size] = float(table.scores[test, chosen].mean() / best - 1)
    return found


def _online(table: Table, requests: Sequence[RequestFeatures], random: np.random.Generator) -> dict[int, float]:
    order = random.permutation(len(requests))[: SIZES[-1]]
    best = table.scores.mean(0).argmax()
    router = Router(table.candidates, Options(preference=QUALITY, seed=int(random.integers(2**31))))
    ours, always = 0.0, 0.0
    found: dict[int, float] = {}
    for number, row in enumerate(order, 1):
        column = _column(table, router.decide(requests[row]).model)
        quality = float(table.scores[row, column])
        router.observe(
            Observation(
                features=requests[row],
                model=table.candidates[column].name,
                quality=quality,
                source=Judgement.EVALUATION,
            )
        )
        if router.due:
            router.learn()
        ours += quality
        always += float(table.scores[row, best])
        if number in SIZES:
            found[number] = ours / always - 1
    return found


def _column(table: Table, name: str) -> int:
    return next(column for column, one in enumerate(table.candidates) if one.name == name)

"""ParetoBandit on recorded replies, in its own environment: `route_paretobandit.py IN.npz OUT.npy`.

IN has `vectors`, `scores`, `prices`, and for each fold the rows to learn from and to predict (`train0`, `test0`, …).
The vectors are brought to 25 principal components, as its documentation does; every judged reply is given to `update`,
then it routes without exploration. OUT has, for each row, the chance it gives each model of being the best, then its
choice.
"""

import logging
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pareto_bandit import BanditRouter  # type: ignore[import-not-found, unused-ignore]
from pareto_bandit.feature_service import FeatureService  # type: ignore[import-not-found, unused-ignore]
from sklearn.decomposition import PCA  # type: ignore[import-not-found, import-untyped, unused-ignore]

Numbers = NDArray[Any]

COMPONENTS = 25


def main(source: str, target: str) -> None:
    logging.disable(logging.WARNING)
    with np.load(source) as given:
        data = {name: given[name] for name in given.files}
    scores = data["scores"]
    names = [f"model{number}" for number in range(scores.shape[1])]
    found = np.zeros((len(scores), len(names) + 1))
    for fold in range(sum(name.startswith("train") for name in data)):
        train, test = data[f"train{fold}"], data[f"test{fold}"]
        reduced = PCA(COMPONENTS, random_state=0).fit(data["vectors"][train]).transform(data["vectors"])
        router = taught(reduced, scores, train, names, data["prices"])
        with router.exploit():
            for row in test:
                chances = router.get_probabilities(reduced[row])
                chosen, _ = router.route(reduced[row])
                found[row] = [*(chances[name] for name in names), names.index(chosen)]
    np.save(target, found)


def taught(reduced: Numbers, scores: Numbers, train: Numbers, names: list[str], prices: Numbers) -> Any:
    """The router after every judged reply of the rows to learn from."""
    registry = {
        name: {"input_cost_per_m": float(price), "output_cost_per_m": float(price)}
        for name, price in zip(names, prices, strict=True)
    }
    features = FeatureService.for_precomputed(dimension=COMPONENTS)
    router = BanditRouter.create(model_registry=registry, feature_service=features, priors="none")
    for row in train:
        for column, name in enumerate(names):
            router.update(name, reduced[row], float(scores[row, column]), advance_time=column == 0)
    return router


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Other ways to route, written after their sources and learned from the same rows and the same vectors.

RouteLLM (Ong et al., 2024; github.com/lm-sys/RouteLLM): similarity-weighted Elo with weights 10 · 10^(cosine / largest
cosine), ties counted as half a win for each; matrix factorisation, a score of a model for a prompt
`c · (v_model * W v_prompt)`, learned from the wins by Adam.
LiteLLM (docs.litellm.ai, auto routing by semantic-router): a prompt goes to the route whose nearest utterances are
most like it; its routing by cost takes the cheapest deployment.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Fit = Callable[[Rows, Rows], Floats]

TOP: Final = 5
"""utterances of a route that count, semantic-router's default"""
DIMENSIONS: Final = 128
RATE: Final = 3e-4
DECAY: Final = 1e-5
NOISE: Final = 0.05
BATCH: Final = 64
EPOCHS: Final = 100


def two_model_peers(vectors: Vectors, scores: Floats) -> Mapping[str, Fit]:
    """By name, what predicts a score that is higher where the strong model should be called."""
    return {
        "RouteLLM-style similarity-weighted Elo": lambda train, test: elo(vectors, scores, train, test),
        "RouteLLM-style matrix factorisation": lambda train, test: factorised(vectors, scores, train, test),
        "LiteLLM-style nearest utterances": lambda train, test: utterances(vectors, scores, train, test),
        "chance": lambda train, test: np.random.default_rng(len(test)).random(len(test)),
    }


def nine_model_peers(vectors: Vectors, scores: Floats, prices: Floats) -> Mapping[str, Fit]:
    """By name, what chooses a model for each prompt."""
    return {
        "LiteLLM-style nearest utterances": lambda train, test: nearest_route(vectors, scores, prices, train, test),
        "LiteLLM-style lowest cost": lambda train, test: np.full(len(test), float(prices.argmin())),
        "nearest neighbours": lambda train, test: neighbours(vectors, scores, train, test),
    }


def elo(vectors: Vectors, scores: Floats, train: Rows, test: Rows) -> Floats:
    """The chance that the strong model wins. With two models its maximum likelihood is closed."""
    won = 0.5 + 0.5 * np.sign(scores[train, 1] - scores[train, 0])
    cosines = vectors[test] @ vectors[train].T
    weights = 10 * 10 ** (cosines / cosines.max(1, keepdims=True))
    return np.asarray(weights @ won / weights.sum(1))


def factorised(vectors: Vectors, scores: Floats, train: Rows, test: Rows) -> Floats:
    """The logit that the strong model wins; ties teach nothing."""
    random = np.random.default_rng(0)
    told = train[scores[train, 0] != scores[train, 1]]
    won = (scores[told, 1] > scores[told, 0]).astype(float)
    width = vectors.shape[1]
    models = random.normal(size=(2, DIMENSIONS))
    parts = [
        models,
        random.uniform(-1, 1, (DIMENSIONS, width)) / np.sqrt(width),
        random.uniform(-1, 1, DIMENSIONS) / np.sqrt(DIMENSIONS),
    ]
    moments = [(np.zeros_like(part), np.zeros_like(part)) for part in parts]
    step = 0
    for _ in range(EPOCHS):
        order = random.permutation(len(told))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            seen = vectors[told[rows]] + NOISE * random.normal(size=(len(rows), width))
            step += 1
            gradients = _gradients(parts, seen, won[rows])
            for part, gradient, (first, second) in zip(parts, gradients, moments, strict=True):
                gradient = gradient + DECAY * part
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient**2 - second)
                part -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return _logits(parts, vectors[test])


def _logits(parts: list[Floats], seen: Vectors | Floats) -> Floats:
    models = parts[0] / np.linalg.norm(parts[0], axis=1, keepdims=True)
    return np.asarray((seen @ parts[1].T) @ (parts[2] * (models[1] - models[0])))


def _gradients(parts: list[Floats], seen: Floats, won: Floats) -> tuple[Floats, Floats, Floats]:
    models, mapping, head = parts
    lengths = np.linalg.norm(models, axis=1, keepdims=True)
    units = models / lengths
    apart = units[1] - units[0]
    mapped = seen @ mapping.T
    error = (1 / (1 + np.exp(-mapped @ (head * apart))) - won) / len(won)
    pull = error @ mapped
    of_units = np.stack([-pull * head, pull * head])
    of_models = (of_units - units * (of_units * units).sum(1, keepdims=True)) / lengths
    return of_models, np.outer(head * apart, error @ seen), pull * apart


def utterances(vectors: Vectors, scores: Floats, train: Rows, test: Rows) -> Floats:
    """How much nearer the route of prompts that only the strong model got is than the route of all others."""
    strong = scores[train, 1] > scores[train, 0]
    near = [vectors[test] @ vectors[train[rows]].T for rows in (strong, ~strong)]
    means = [np.sort(one, axis=1)[:, -TOP:].mean(1) for one in near]
    return np.asarray(means[0] - means[1], float)


def nearest_route(vectors: Vectors, scores: Floats, prices: Floats, train: Rows, test: Rows) -> Floats:
    """A route for each model: the prompts for which it was the cheapest of the best."""
    best = np.lexsort((np.broadcast_to(prices, scores[train].shape), -scores[train]), axis=1)[:, 0]
    found = np.full((len(test), scores.shape[1]), -np.inf)
    for model in np.unique(best):
        near = vectors[test] @ vectors[train[best == model]].T
        found[:, model] = np.sort(near, axis=1)[:, -TOP:].mean(1)
    return np.asarray(found.argmax(1), float)


def neighbours(vectors: Vectors, scores: Floats, train: Rows, test: Rows, *, count: int = 40) -> Floats:
    """The model that did best on the prompts most like this one."""
    near = np.argsort(-(vectors[test] @ vectors[train].T), axis=1)[:, :count]
    return np.asarray(scores[train][near].mean(1).argmax(1), float)

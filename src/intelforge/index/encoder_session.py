"""Runs the graph of a sentence encoder on the CPU."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from intelforge.index.encoder import Encoder
from intelforge.index.onnx_graph import OnnxGraph, Tokens, padded
from intelforge.index.protocol import Vectors

States = NDArray[np.float32]
"""Shape (texts, tokens, dimensions)."""

WHOLE: Final = ("vectors", "sentence_embedding")
"""outputs that are a vector for each text"""
BY_TOKEN: Final = 3
"""dimensions of an output that is a vector for each token"""


class EncoderSession:
    """A loaded graph. Used from one thread at a time."""

    def __init__(self, encoder: Encoder, *, threads: int) -> None:
        """Raises ModelError when the graph cannot be loaded."""
        self._encoder = encoder
        self._graph = OnnxGraph(encoder.graph(), name=encoder.name, remedy=encoder.remedy, threads=threads)
        shapes = self._graph.shapes
        self._output = next((name for name in WHOLE if name in shapes), next(iter(shapes)))
        self._states = next((name for name, shape in shapes.items() if len(shape) == BY_TOKEN), "")

    def run(self, batch: Sequence[Tokens]) -> Vectors:
        """Vectors of texts given as tokens, shape (len(batch), dimensions), of any length. Raises ModelError."""
        ids, mask = padded(batch)
        found = self._graph.run(self._output, ids, mask)
        pooled = POOLINGS[self._encoder.pooling](found, mask) if found.ndim == 3 else found
        if pooled.shape != (len(batch), self._encoder.dimensions):
            raise self._graph.unusable(f"gives vectors of shape {pooled.shape[1:]}")
        return pooled

    def states(self, batch: Sequence[Tokens]) -> list[Vectors]:
        """The states of each text's tokens, shape (its tokens, dimensions), of any length. Raises ModelError."""
        if not self._states:
            raise self._graph.unusable("gives no vectors of tokens")
        found = self._graph.run(self._states, *padded(batch))
        return [found[row, : len(tokens)] for row, tokens in enumerate(batch)]


def _mean(states: States, mask: Tokens) -> Vectors:
    return np.asarray((states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True), np.float32)


def _first(states: States, mask: Tokens) -> Vectors:
    return states[:, 0]


def _max(states: States, mask: Tokens) -> Vectors:
    return np.asarray(np.where(mask[:, :, None] == 1, states, -np.inf).max(axis=1), np.float32)


def _last(states: States, mask: Tokens) -> Vectors:
    return np.asarray(states[np.arange(len(states)), mask.sum(axis=1) - 1], np.float32)


POOLINGS: Final[Mapping[str, Callable[[States, Tokens], Vectors]]] = {
    "mean": _mean,
    "cls": _first,
    "max": _max,
    "lasttoken": _last,
}
"""How the vectors of a text's tokens become one."""

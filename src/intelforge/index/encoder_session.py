"""Runs the graph of a sentence encoder on the CPU."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.index.encoder import Encoder
from intelforge.index.protocol import Vectors

Tokens = NDArray[np.int32]
States = NDArray[np.float32]
"""Shape (texts, tokens, dimensions)."""

WHOLE: Final = ("vectors", "sentence_embedding")
"""outputs that are a vector for each text"""
BY_TOKEN: Final = 3
"""dimensions of an output that is a vector for each token"""
_TYPES: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class EncoderSession:
    """A loaded graph. Used from one thread at a time."""

    def __init__(self, encoder: Encoder, *, threads: int) -> None:
        """Raises ModelError when the graph cannot be loaded, or wants what no encoder of texts does."""
        self._encoder = encoder
        self._session = _load(encoder, threads)
        self._inputs = {given.name: _TYPES.get(given.type, np.int64) for given in self._session.get_inputs()}
        shapes = {given.name: given.shape for given in self._session.get_outputs()}
        self._output = next((name for name in WHOLE if name in shapes), next(iter(shapes)))
        self._states = next((name for name, shape in shapes.items() if len(shape) == BY_TOKEN), "")

    def run(self, batch: Sequence[Tokens]) -> Vectors:
        """Vectors of texts given as tokens, shape (len(batch), dimensions), of any length."""
        ids, mask = _padded(batch)
        found = self._run(ids, mask, self._output)
        pooled = POOLINGS[self._encoder.pooling](found, mask) if found.ndim == 3 else found
        if pooled.shape != (len(batch), self._encoder.dimensions):
            raise self._unusable(f"gives vectors of shape {pooled.shape[1:]}")
        return pooled

    def states(self, batch: Sequence[Tokens]) -> list[Vectors]:
        """The states of each text's tokens, shape (its tokens, dimensions), of any length. Raises ModelError."""
        if not self._states:
            raise self._unusable("gives no vectors of tokens")
        found = self._run(*_padded(batch), self._states)
        return [found[row, : len(tokens)] for row, tokens in enumerate(batch)]

    def _run(self, ids: Tokens, mask: Tokens, output: str) -> States:
        known: Mapping[str, Tokens] = {
            **dict.fromkeys(("ids", "input_ids"), ids),
            **dict.fromkeys(("mask", "attention_mask"), mask),
            "token_type_ids": np.zeros_like(ids),
            "position_ids": np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape),
        }
        if unknown := self._inputs.keys() - known.keys():
            raise self._unusable(f"wants an input {min(unknown)!r}")
        feeds = {name: known[name].astype(kind) for name, kind in self._inputs.items()}
        try:
            return np.asarray(self._session.run([output], feeds)[0], np.float32)
        except Exception as error:
            raise self._unusable(f"cannot be run: {error}") from error

    def _unusable(self, reason: str) -> ModelError:
        return ModelError(
            f"the graph of {self._encoder.name} {reason}", hint=self._encoder.remedy, code=ErrorCode.DAMAGED
        )


def _padded(batch: Sequence[Tokens]) -> tuple[Tokens, Tokens]:
    """Ids and mask of the texts, shape (texts, tokens of the longest)."""
    shape = (len(batch), max(len(ids) for ids in batch))
    ids, mask = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def _load(encoder: Encoder, threads: int) -> Any:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    graph = encoder.graph()
    try:
        return InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        what = graph if isinstance(graph, str) else f"the graph of {encoder.name}"
        raise ModelError(f"{what} cannot be loaded: {error}", hint=encoder.remedy, code=ErrorCode.DAMAGED) from error


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

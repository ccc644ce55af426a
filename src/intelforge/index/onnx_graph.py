"""Runs an ONNX graph over the tokens of texts, on the CPU."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import ErrorCode, ModelError

Tokens = NDArray[np.int32]
_TYPES: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class OnnxGraph:
    """A loaded graph. Used from one thread at a time."""

    def __init__(self, source: str | bytes, *, name: str, remedy: str, threads: int) -> None:
        """Of the path of a graph, or of a graph. Raises ModelError when it cannot be loaded."""
        self._name = name
        self._remedy = remedy
        self._session = self._load(source, threads)
        self._inputs = {given.name: _TYPES.get(given.type, np.int64) for given in self._session.get_inputs()}
        self.shapes: Mapping[str, Sequence[Any]] = {given.name: given.shape for given in self._session.get_outputs()}
        """by output"""

    def run(self, output: str, ids: Tokens, mask: Tokens, types: Tokens | None = None) -> NDArray[np.float32]:
        """One output for texts given as `padded` gives them; `types` tell the texts of a pair apart. ModelError."""
        known: Mapping[str, Tokens] = {
            **dict.fromkeys(("ids", "input_ids"), ids),
            **dict.fromkeys(("mask", "attention_mask"), mask),
            "token_type_ids": np.zeros_like(ids) if types is None else types,
            "position_ids": np.broadcast_to(np.arange(ids.shape[1], dtype=np.int32), ids.shape),
        }
        if unknown := self._inputs.keys() - known.keys():
            raise self.unusable(f"wants an input {min(unknown)!r}")
        feeds = {name: known[name].astype(kind) for name, kind in self._inputs.items()}
        try:
            return np.asarray(self._session.run([output], feeds)[0], np.float32)
        except Exception as error:
            raise self.unusable(f"cannot be run: {error}") from error

    def unusable(self, reason: str) -> ModelError:
        return ModelError(f"the graph of {self._name} {reason}", hint=self._remedy, code=ErrorCode.DAMAGED)

    def _load(self, source: str | bytes, threads: int) -> Any:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            return InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            what = source if isinstance(source, str) else f"the graph of {self._name}"
            raise ModelError(f"{what} cannot be loaded: {error}", hint=self._remedy, code=ErrorCode.DAMAGED) from error


def padded(batch: Sequence[Tokens]) -> tuple[Tokens, Tokens]:
    """Ids and mask of the texts, shape (texts, tokens of the longest)."""
    shape = (len(batch), max(len(ids) for ids in batch))
    ids, mask = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask

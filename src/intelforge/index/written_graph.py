"""The graph of a BERT encoder, written from its weights at first use and kept in the cache folder."""

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from intelforge.core.errors import ErrorCode, ModelError

GRAPH_VERSION: Final = 3
"""Raised when `bert.build` changes what it writes, so that older files in the cache are not used."""
PRECISIONS: Final = ("int8", "float32")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenGraph:
    """How to have the graph of a BERT."""

    folder: Path
    """of the cache, for this model alone"""
    precision: str
    """one of PRECISIONS"""
    read: Callable[[], bytes]
    """gives the weights, as safetensors"""
    heads: int
    epsilon: float = 1e-12
    """of the layer norms"""
    pooling: str = "mean"
    """`mean` or `cls`"""

    @property
    def stored(self) -> str:
        """The precision that this machine makes of the one asked for."""
        return "int7" if self.precision == "int8" and not multiplies_bytes() else self.precision

    @property
    def path(self) -> Path:
        return self.folder / f"{self.stored}.{GRAPH_VERSION}.onnx"

    def __call__(self) -> str | bytes:
        """The path of the graph in the cache, written first if need be; its bytes when the cache is read-only."""
        if self.path.is_file():
            return str(self.path)
        graph = self._build()
        temporary = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(graph)
            temporary.replace(self.path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return graph
        return str(self.path)

    def _build(self) -> bytes:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        from intelforge.index import bert  # imports onnx, which is not needed once the graph is there

        try:
            tensors = bert.plain(load(self.read()))
            shape = bert.Shape(heads=self.heads, epsilon=self.epsilon, pooling=self.pooling)
            return bert.build(tensors, bert.Precision(self.stored), shape)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"the weights for {self.folder.name} are not those of a BERT: {error}",
                hint="export the model to ONNX, and name the folder with its model.onnx",
                code=ErrorCode.DAMAGED,
            ) from error


def multiplies_bytes(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU adds up products of bytes without overflow: ARM and newer x86. Told by Linux alone."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True
    try:
        return "vnni" in cpu_info.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False

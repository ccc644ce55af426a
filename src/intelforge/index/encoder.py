"""What a local sentence encoder is made of, before anything large of it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from intelforge.index import weights
from intelforge.index.protocol import TextKind
from intelforge.index.written_graph import GRAPH_VERSION, WrittenGraph

_HEADS: Final = 12
"""of every model that is known by name"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A sentence encoder whose files are here."""

    name: str
    """of model, weights and precision"""
    dimensions: int
    max_tokens: int
    """special ones counted"""
    tokenizer: Path
    read_tokenizer: Callable[[], bytes]
    graph: Callable[[], str | bytes]
    """gives the path of the ONNX graph, or the graph"""
    remedy: str
    """what to do when the graph cannot be loaded"""
    pooling: str = "mean"
    """of a graph that gives a vector for each token: `mean`, `cls`, `max` or `lasttoken`"""
    prompts: Mapping[TextKind, str] = field(default_factory=dict)
    """put before texts of a kind"""


def built_in(model: weights.Model, precision: str, *, folder: Path, cache: Path) -> Encoder:
    """The encoder of a model known by name, whose files in `folder` must be those that were published."""
    digest = model.files[weights.WEIGHTS].sha256[:8]
    graph = WrittenGraph(
        folder=cache / model.name,
        precision=precision,
        read=lambda: weights.verified(folder, model.name, weights.WEIGHTS),
        heads=_HEADS,
    )
    return Encoder(
        name=f"onnx:{model.name}@{digest}.{GRAPH_VERSION}?precision={precision}",
        dimensions=model.dimensions,
        max_tokens=model.max_tokens,
        tokenizer=folder / weights.TOKENIZER,
        read_tokenizer=lambda: weights.verified(folder, model.name, weights.TOKENIZER),
        graph=graph,
        remedy=f"delete {graph.path}; it is written again from {folder}",
    )

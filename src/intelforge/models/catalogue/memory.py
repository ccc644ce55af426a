"""Memory that a local model takes: its weights, the keys and values of its context, and what its server adds."""

from dataclasses import dataclass
from typing import Final

from intelforge.models.catalogue.open_models import OpenModel
from intelforge.models.catalogue.quantisation import Quantisation

KV_BYTES: Final = 2
"""for each number in the cache: 16 bits, as llama.cpp and Ollama keep it unless told otherwise"""
OVERHEAD: Final = 0.5e9
"""bytes for the program and its buffers"""
OVERHEAD_SHARE: Final = 0.05
"""and of the weights"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """In bytes."""

    weights: float
    cache: float
    overhead: float

    @property
    def total(self) -> float:
        return self.weights + self.cache + self.overhead


def memory_of(model: OpenModel, quantisation: Quantisation, *, context: int) -> Memory:
    """What a model takes with a context of so many tokens.

    The cache holds a key and a value for each token, layer and head: 2 x layers x heads x dimensions x tokens x bytes;
    layers with a window keep no more tokens than that.
    """
    weights = model.parameters * quantisation.bits / 8
    cache = sum(
        2 * part.layers * part.kv_heads * part.head_dimensions * min(context, part.window or context) * KV_BYTES
        for part in model.attention
    )
    return Memory(weights=weights, cache=cache, overhead=OVERHEAD + OVERHEAD_SHARE * weights)

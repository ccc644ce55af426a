"""An embedder without a model, for tests."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from intelforge.index.protocol import TextKind, Vectors

DIMENSIONS = 16


@dataclass(kw_only=True)
class HashEmbedder:
    """Gives equal texts equal vectors and different texts different ones; remembers what it was asked."""

    name: str = "hash"
    dimensions: int = DIMENSIONS
    tokenizer: Path | None = None
    at_once: int = 32
    local: bool = True
    asked: list[str] = field(default_factory=list)

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        self.asked += texts
        rows = [
            np.frombuffer(hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(self.dimensions), np.uint8)
            for text in texts
        ]
        vectors = np.array(rows, np.float32).reshape(len(texts), self.dimensions) - 127.5
        unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return unit

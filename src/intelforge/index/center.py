"""The centre of what is embedded, taken out of a query before it is compared.

Every text of a corpus is a little about what the whole corpus is about, and a query is too. Without that common part
what is left of the query says what is special about it, and texts that are near to everything are no longer near to
every query. A query that is far from the corpus loses little: only what it has itself in that direction is taken out.
("All-but-the-Top", Mu and Viswanath, 2018, takes it out on both sides; to take it out of the query is enough for
ranking by inner product and needs no vector written again.)
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Self

import numpy as np

from intelforge.index.protocol import Vectors
from intelforge.store.facts import Facts

FACT = "embedding_center"
SHARE = 0.5
"""of what a query has of the centre that is taken out"""
FEW = 200
"""vectors at which half of that is: the mean of a handful says little about a corpus"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Center:
    """The mean of so many unit vectors, shape (dimensions,)."""

    mean: Vectors
    number: int

    @classmethod
    def of(cls, vectors: Vectors) -> Self:
        """Of vectors of shape (n, dimensions)."""
        return cls(mean=vectors.mean(axis=0), number=len(vectors))

    def joined(self, other: "Center") -> "Center":
        number = self.number + other.number
        mean = (self.mean * self.number + other.mean * other.number) / number
        return Center(mean=mean.astype(np.float32), number=number)

    @property
    def share(self) -> float:
        """How much of what a query has of the centre is taken out of it."""
        return SHARE * self.number / (self.number + FEW)

    def leave(self, query: Vectors) -> Vectors:
        """A unit vector of shape (dimensions,) with less of the centre in it, again of unit length."""
        length = float(self.mean @ self.mean)
        moved = query - self.share * (query @ self.mean) / length * self.mean if length else query
        return np.asarray(moved / np.linalg.norm(moved), np.float32)


async def load_center(facts: Facts, embedder: str) -> Center | None:
    """The centre of all vectors of an embedder (by its name); None before there is one."""
    found = json.loads(await facts.get(_fact(embedder)) or "{}")
    if not found:
        return None
    return Center(mean=np.frombuffer(base64.b64decode(found["mean"]), np.float32), number=found["number"])


async def save_center(facts: Facts, embedder: str, center: Center) -> None:
    """Replaces the centre that is on record."""
    mean = base64.b64encode(center.mean.astype(np.float32).tobytes()).decode()
    await facts.set(_fact(embedder), json.dumps({"mean": mean, "number": center.number}))


def _fact(embedder: str) -> str:
    return f"{FACT}:{hashlib.sha256(embedder.encode()).hexdigest()[:16]}"

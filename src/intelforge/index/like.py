"""More like this: a document or a chunk as the query, by the vectors that are stored of it, else by its words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from intelforge.index.analysis import terms
from intelforge.index.protocol import Vectors
from intelforge.index.words import folded

TELLING: Final = 64
"""words; the store weighs them by how rare they are"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What others should be like."""

    document_id: str
    chunk_ids: Sequence[str]
    text: str

    def direction(self, vectors: Mapping[str, Vectors]) -> Vectors | None:
        """The mean of its vectors, of unit length and shape (dimensions,); None when there are none."""
        found = [vectors[chunk_id] for chunk_id in self.chunk_ids if chunk_id in vectors]
        mean = np.mean(found, axis=0) if found else np.zeros(0)
        length = float(np.linalg.norm(mean))
        return np.asarray(mean / length, np.float32) if length else None

    @property
    def words(self) -> str:
        """The words it has most of, the first of equally many before the others."""
        counts = Counter(term for term in terms(self.text) if folded(term))
        return " ".join(term for term, _ in counts.most_common(TELLING))

"""How alike two requests are: a kernel over their vectors, their shapes and their words.

What a shape says depends on the matter (digits in a sum are not digits in a date), so it counts mostly between requests
of near vectors; a little of it counts everywhere, which is what is left for requests far from all that was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from intelforge.models.router.values import RequestFeatures
from intelforge.models.router.words import PLACES

Matrix = NDArray[np.float32]

SPREAD_FLOOR: Final = 0.05
AXES: Final = 128
"""numbers that are kept of a vector, once there are MANY"""
MANY: Final = 500
FAR: Final = 4.0
"""standard deviations beyond which a number of the shape counts no more"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each part counts, and how far its bumps reach in squared distance of unit vectors."""

    embedding: float = 2.0
    embedding_reach: float = 0.5
    shape_within: float = 2.0
    """of requests of near vectors"""
    within_reach: float = 2.0
    shape: float = 0.3
    shape_reach: float = 1.0
    words: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What numbers of the shape are usual, and how rare each hashed word is, among the requests learned from."""

    center: Matrix
    spread: Matrix
    rarity: Matrix
    axes: Matrix | None = None
    """the directions in which vectors differ most, shape (dimensions, AXES): fewer numbers to read for each decision"""

    @classmethod
    def of(cls, requests: Sequence[RequestFeatures]) -> Self:
        shapes = np.stack([one.shape for one in requests])
        seen = np.bincount(np.concatenate([one.words[0] for one in requests]), minlength=PLACES)
        return cls(
            center=shapes.mean(0),
            spread=np.maximum(shapes.std(0), SPREAD_FLOOR),
            rarity=np.log((len(requests) + 1) / (seen + 0.001 * len(requests) + 0.5)).astype(np.float32).clip(0),
            axes=_axes([one.embedding for one in requests if one.embedding is not None]),
        )

    def shape(self, one: RequestFeatures) -> Matrix:
        return unit(np.clip((one.shape - self.center) / self.spread, -FAR, FAR))

    def embedding(self, one: RequestFeatures) -> Matrix | None:
        """The vector along the axes, of unit length; None where there is none, or one of another model."""
        if one.embedding is None or self.axes is None:
            return one.embedding
        return unit(one.embedding @ self.axes) if len(one.embedding) == len(self.axes) else None

    def words(self, one: RequestFeatures) -> Matrix:
        """The weighed values at the request's places, of unit length together."""
        places, values = one.words
        return unit(values * self.rarity[places])


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Requests as rows: what the kernel is taken between."""

    embeddings: Matrix
    """zeros where there is none"""
    known: NDArray[np.bool_]
    """which rows have one"""
    shapes: Matrix

    @classmethod
    def of(cls, requests: Sequence[RequestFeatures], scale: Scale) -> Self:
        vectors = [scale.embedding(one) for one in requests]
        width = width_of(vectors)
        embeddings = np.zeros((len(requests), width), np.float32)
        for row, vector in enumerate(vectors):
            if vector is not None and len(vector) == width:
                embeddings[row] = vector
        known = np.asarray(embeddings.any(1))
        return cls(embeddings=embeddings, known=known, shapes=np.stack([scale.shape(one) for one in requests]))

    def likeness(self, other: "Points", weights: Weights) -> Matrix:
        """Shape (rows of this, rows of the other), without the words."""
        shapes = bumps(self.shapes @ other.shapes.T, weights.shape_reach)
        if not self.embeddings.shape[1] or self.embeddings.shape[1] != other.embeddings.shape[1]:
            return (weights.shape + weights.shape_within) * shapes
        cosines = self.embeddings @ other.embeddings.T
        known = np.outer(self.known, other.known)
        found: Matrix = weights.embedding * bumps(cosines, weights.embedding_reach)
        near = np.where(known, bumps(cosines, weights.within_reach), np.float32(1))
        found *= known
        found += (weights.shape + weights.shape_within * near) * shapes
        return found


def width_of(vectors: Sequence[Matrix | None]) -> int:
    """How many numbers the last one has: those of another embedder, which was used before, are not to be compared."""
    return next((len(vector) for vector in reversed(vectors) if vector is not None), 0)


def _axes(vectors: Sequence[Matrix]) -> Matrix | None:
    """The principal axes about the origin; None for few vectors, or such as are short anyway."""
    width = width_of(vectors)
    same = [vector for vector in vectors if len(vector) == width]
    if width <= AXES or len(same) < MANY:
        return None
    together = np.stack(same)
    return np.asarray(np.linalg.eigh(together.T @ together)[1][:, -AXES:], np.float32)


def words_matrix(requests: Sequence[RequestFeatures], scale: Scale) -> Matrix:
    """Shape (requests, PLACES)."""
    found = np.zeros((len(requests), PLACES), np.float32)
    for row, one in enumerate(requests):
        found[row, one.words[0]] = scale.words(one)
    return found


def bumps(cosines: Matrix, reach: float) -> Matrix:
    """exp(-squared distance / reach) of unit vectors, by their cosines."""
    found = cosines - np.float32(1)
    found *= np.float32(2 / reach)
    return np.asarray(np.exp(found, out=found), np.float32)


def unit(vector: Matrix) -> Matrix:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)

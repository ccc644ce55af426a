"""Texts too long for a model: split, embedded in pieces, and put together again."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import ModelError
from intelforge.index.protocol import Vectors

BYTES_PER_TOKEN: Final = 2.5
"""Of UTF-8, a low estimate (English prose has four, code three): a piece should fit at the first try."""


def estimated_tokens(text: str) -> int:
    """More tokens than a text usually has."""
    return 1 + int(len(text.encode("utf-8")) / BYTES_PER_TOKEN)


def split(text: str, most_tokens: int) -> list[str]:
    """The text halved until no piece is estimated at more tokens, at spaces where there are some.

    The pieces joined are the text.
    """
    if estimated_tokens(text) <= most_tokens or len(text) < 2:
        return [text]
    left, right = halves(text)
    return [*split(left, most_tokens), *split(right, most_tokens)]


def halves(text: str) -> tuple[str, str]:
    """The text cut behind the last space before its middle, if that is near."""
    middle = len(text) // 2
    nearest = max(text.rfind(space, middle // 2, middle) for space in " \n\t")
    at = nearest + 1 if nearest > 0 else middle
    return text[:at], text[at:]


def combine(vectors: Vectors, owners: Sequence[int], weights: Sequence[int], count: int) -> Vectors:
    """One unit vector for each of `count` texts: the mean of its pieces' vectors, weighted by their tokens.

    `owners` and `weights` say of which text each row of `vectors` is a piece, and how long it is. Raises ModelError
    when a mean has no direction.
    """
    scaled = vectors * np.asarray(weights, np.float32)[:, None]
    sums: NDArray[np.float32] = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, np.asarray(owners, np.intp), scaled)
    return unit(sums)


def unit(vectors: Vectors) -> Vectors:
    """The rows at unit length; ModelError when one has no direction."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ModelError("the embedding model gave a vector without direction", hint="choose another model")
    return np.asarray(vectors / lengths, np.float32)

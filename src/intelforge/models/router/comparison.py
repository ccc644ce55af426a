"""What requests teach on which several models were judged: whether they differ, and who is right where they do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A row for each request."""

    spread: Matrix
    """how far the judged models are from each other, 0 to 1, shape (requests, 1); 0 where fewer than two were judged"""
    trust: Matrix
    """how much that counts, shape (requests, 1)"""
    share: Matrix
    """of each model's judged replies, the part that stands beside another model's"""


def compared(qualities: Matrix, trust: Matrix) -> Compared:
    """Of qualities and trust, shape (requests, models); no trust where nobody judged."""
    seen = trust > 0
    beside = seen & (seen.sum(1, keepdims=True) > 1)
    known = np.clip(qualities, 0, 1)
    spread = np.where(beside, known, 0).max(1, keepdims=True) - np.where(beside, known, 1).min(1, keepdims=True)
    counts = np.where(beside, trust, 0).sum(1, keepdims=True) / np.maximum(beside.sum(1, keepdims=True), 1)
    return Compared(
        spread=np.maximum(spread, 0).astype(np.float32),
        trust=counts.astype(np.float32),
        share=np.asarray((trust * beside).sum(0) / np.maximum(trust.sum(0), 1e-9), np.float32),
    )


def combined(chances: Matrix, share: Matrix) -> Matrix:
    """The quality of each model, from those of each by itself, of telling them apart, and of each where told apart.

    How good all are together is taken from the first, who is better from the others, as far as models were compared.
    """
    models = len(share)
    alone, apart, standing = chances[:models], chances[models], chances[models + 1 :]
    if not share.any():
        return alone
    of = share / share.sum()
    together = of @ alone + apart * (standing - of @ standing)
    return np.asarray(alone + share * (together - alone), np.float32)

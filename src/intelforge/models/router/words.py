"""The words of a request as hashed counts: single words and pairs, numbers by their length, signs as words.

The hashing trick (Weinberger et al., 2009): no vocabulary is kept, and no text can be read back from it.
"""

import math
import re
import zlib
from collections import Counter
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from intelforge.models.router.shape import READ

PLACES: Final = 2048
TOKEN: Final = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")


def hashed_words(text: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Places, in order and each once, and values with 1 + log of the count; both empty for an empty text."""
    if len(text) > READ:
        text = text[: READ // 2] + text[-READ // 2 :]
    tokens = ["0" * len(token) if token.isdigit() else token for token in TOKEN.findall(text.lower())]
    counts = Counter(tokens)
    counts.update(f"{one} {two}" for one, two in pairwise(tokens))
    values: dict[int, float] = {}
    for gram, count in counts.items():
        code = zlib.crc32(gram.encode("utf-8", "replace"))
        place = code % PLACES
        values[place] = values.get(place, 0.0) + (1 if code >> 31 else -1) * (1 + math.log(count))
    places = sorted(values)
    return np.asarray(places, np.int32), np.asarray([values[place] for place in places], np.float32)

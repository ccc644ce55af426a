"""A request's text as the router's features. Takes under a millisecond and calls nobody."""

import hashlib

import numpy as np

from intelforge.models.router.shape import shape
from intelforge.models.router.values import CHARACTERS_PER_TOKEN, EXPECTED_OUTPUT, RequestFeatures, Vector
from intelforge.models.router.words import hashed_words


def read_request(
    text: str,
    *,
    embedding: Vector | None = None,
    input_tokens: int | None = None,
    output_tokens: int = EXPECTED_OUTPUT,
) -> RequestFeatures:
    """What the router knows of a request: `embedding` is its vector, if there is an embedder.

    `input_tokens` of the whole request are estimated from the text when not given; `output_tokens` are expected.
    """
    if embedding is not None:
        vector = np.asarray(embedding, np.float64)
        length = float(np.linalg.norm(vector))
        embedding = np.asarray(vector / length, np.float32) if 0 < length < np.inf else None
    return RequestFeatures(
        shape=shape(text),
        words=hashed_words(text),
        embedding=embedding,
        input_tokens=input_tokens if input_tokens is not None else round(len(text) / CHARACTERS_PER_TOKEN) + 1,
        output_tokens=output_tokens,
        key=hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest(),
    )

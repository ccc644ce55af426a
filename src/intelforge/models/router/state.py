"""A router's state as bytes, to be kept or carried elsewhere: one NPZ file of numbers and JSON. Nothing is pickled."""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import ErrorCode, InvalidInputError
from intelforge.models.router.experience import Remembered, Seen
from intelforge.models.router.likeness import width_of
from intelforge.models.router.policy import Spending
from intelforge.models.router.router import Router
from intelforge.models.router.shape import NAMES
from intelforge.models.router.tracker import Tracker
from intelforge.models.router.values import Candidate, RequestFeatures
from intelforge.models.router.words import PLACES

VERSION: Final = 1


def exported(router: Router) -> bytes:
    """All that the router has learned; no words of any request are in it."""
    kept = list(router.experience)
    known = {
        "version": VERSION,
        "shape": list(NAMES),
        "places": PLACES,
        "frozen": router.frozen,
        "candidates": [asdict(one) for one in router.candidates],
        "number": router.experience.number,
        "spending": asdict(router.spending),
        "trackers": {name: tracker.as_json() for name, tracker in list(router.trackers.items())},
        "seen": [
            {model: [seen.quality, seen.trust, seen.epoch, seen.number] for model, seen in one.seen.items()}
            for one in kept
        ],
        "requests": [[one.request.key, one.request.input_tokens, one.request.output_tokens] for one in kept],
    }
    written = io.BytesIO()
    arrays: dict[str, Any] = _arrays([one.request for one in kept])
    np.savez_compressed(written, known=np.frombuffer(json.dumps(known).encode(), np.uint8), **arrays)
    return written.getvalue()


def restore(router: Router, state: bytes) -> None:
    """Puts what `exported` gave in place of all that the router has learned, and learns from it.

    Raises InvalidInputError DAMAGED for anything else, and UNSUPPORTED for the state of another version.
    """
    with _readable():
        known, arrays = _read(state)
        remembered = _remembered(known, arrays)
        trackers = {str(name): Tracker.from_json(values) for name, values in known["trackers"].items()}
        spending, number, frozen = Spending(**known["spending"]), int(known["number"]), bool(known["frozen"])
    router.replace(remembered, number=number, trackers=trackers, spending=spending, frozen=frozen)


def candidates_in(state: bytes) -> list[Candidate]:
    """Who could be chosen when the state was exported. Raises as `restore` does."""
    with _readable():
        return [Candidate(**values) for values in _read(state)[0]["candidates"]]


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (
        ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise InvalidInputError(
            "this is not the state of a router, or it is damaged",
            hint="give a file made by: intelforge router export FILE",
            code=ErrorCode.DAMAGED,
        ) from error


def _read(state: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    with np.load(io.BytesIO(state), allow_pickle=False) as arrays:
        known = json.loads(arrays["known"].tobytes())
        if (known["version"], known["shape"], known["places"]) != (VERSION, list(NAMES), PLACES):
            raise InvalidInputError(
                "this state of a router is of another version",
                hint="export it again with this version, or let the router learn anew",
                code=ErrorCode.UNSUPPORTED,
            )
        return known, {name: arrays[name] for name in arrays.files if name != "known"}


def _arrays(requests: Sequence[RequestFeatures]) -> dict[str, NDArray[Any]]:
    width = width_of([one.embedding for one in requests])
    embeddings = np.zeros((len(requests), width), np.float32)
    for row, one in enumerate(requests):
        if one.embedding is not None and len(one.embedding) == width:
            embeddings[row] = one.embedding
    counts = [len(one.words[0]) for one in requests]
    return {
        "shapes": np.stack([one.shape for one in requests]) if requests else np.zeros((0, len(NAMES)), np.float32),
        "embeddings": embeddings,
        "ends": np.cumsum(counts, dtype=np.int64) if counts else np.zeros(0, np.int64),
        "word_places": np.concatenate([np.zeros(0, np.int32), *(one.words[0] for one in requests)]),
        "word_values": np.concatenate([np.zeros(0, np.float32), *(one.words[1] for one in requests)]),
    }


def _remembered(known: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> list[Remembered]:
    places, values = arrays["word_places"].astype(np.int32), arrays["word_values"].astype(np.float32)
    if arrays["shapes"].shape != (len(known["requests"]), len(NAMES)) or len(places) != len(values):
        raise ValueError("the parts of the state do not fit together")
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < PLACES:
        raise ValueError("a hashed word is nowhere")
    starts = [0, *arrays["ends"].tolist()]
    found = []
    for row, (key, input_tokens, output_tokens) in enumerate(known["requests"]):
        embedding = arrays["embeddings"][row].astype(np.float32)
        span = slice(starts[row], starts[row + 1])
        request = RequestFeatures(
            shape=arrays["shapes"][row].astype(np.float32),
            words=(places[span], values[span]),
            embedding=embedding if embedding.any() else None,
            input_tokens=int(input_tokens),
            output_tokens=int(output_tokens),
            key=str(key),
        )
        seen = {
            str(model): Seen(float(quality), float(trust), int(epoch), int(number))
            for model, (quality, trust, epoch, number) in known["seen"][row].items()
        }
        found.append(Remembered(request, seen))
    return found

import io
import random
import zipfile

import numpy as np
import pytest

from intelforge.core.errors import ErrorCode, InvalidInputError
from intelforge.models.router.policy import NONE
from intelforge.models.router.router import Options, Router
from intelforge.models.router.state import candidates_in, exported, restore
from intelforge.models.router.values import Judgement, Observation
from intelforge.testing.router_world import BOTH, observation, request

STEADY = Options(exploration=NONE)


def taught(*, vectors: bool = False) -> Router:
    router, draw = Router(BOTH, STEADY), random.Random(1)
    for _ in range(60):
        kind = draw.choice(("sum", "talk"))
        for model in ("small", "large"):
            one = observation(kind, model, draw)
            features = request(kind, draw, vectors=vectors)
            router.observe(
                Observation(features=features, model=model, quality=one.quality, latency=one.latency, source=one.source)
            )
    router.learn()
    return router


@pytest.mark.parametrize("vectors", [False, True])
def test_what_was_exported_decides_the_same_elsewhere(vectors: bool) -> None:
    router = taught(vectors=vectors)
    router.freeze()
    other = Router(BOTH, STEADY)
    restore(other, exported(router))
    for seed in range(20):
        asked = request("sum" if seed % 2 else "talk", random.Random(seed), vectors=vectors)
        assert other.decide(asked) == router.decide(asked)
    assert other.frozen
    assert candidates_in(exported(router)) == list(BOTH)


def test_it_goes_on_learning_where_it_was() -> None:
    router, other = taught(), Router(BOTH, STEADY)
    restore(other, exported(router))
    assert other.trackers == router.trackers
    assert other.experience.number == router.experience.number
    for one in (router, other):
        draw = random.Random(5)
        for _ in range(30):
            one.observe(observation("sum", "small", draw, good=1.0))
        one.learn()
    asked = request("sum", random.Random(6))
    assert other.predict(asked) == router.predict(asked)


def test_a_router_that_knows_nothing_can_be_exported() -> None:
    other = taught()
    restore(other, exported(Router(BOTH, STEADY)))
    assert len(other.experience) == 0
    assert other.predict(request("sum", random.Random(0)))[0].quality == 0.5


def test_no_words_are_in_it() -> None:
    router, draw = Router(BOTH, STEADY), random.Random(0)
    one = observation("talk", "small", draw)
    router.observe(Observation(features=one.features, model="small", quality=1.0, source=Judgement.RATING))
    held = exported(router)
    with zipfile.ZipFile(io.BytesIO(held)) as parts:
        everything = b"".join(parts.read(name) for name in parts.namelist())
    assert b"childhood" not in everything


@pytest.mark.parametrize("state", [b"", b"not a file of numbers", b"PK\x03\x04broken"])
def test_what_is_no_state_is_refused_and_changes_nothing(state: bytes) -> None:
    router = taught()
    with pytest.raises(InvalidInputError, match="not the state of a router") as found:
        restore(router, state)
    assert found.value.error_code is ErrorCode.DAMAGED
    assert len(router.experience) > 0


def test_a_state_with_pickled_objects_is_refused() -> None:
    written = io.BytesIO()
    np.savez(written, known=np.asarray([{"version": 1}], dtype=object))
    with pytest.raises(InvalidInputError, match="not the state of a router"):
        restore(Router(BOTH), written.getvalue())


def test_damaged_bytes_never_raise_anything_else() -> None:
    state = exported(taught())
    draw = random.Random(0)
    for _ in range(60):
        broken = bytearray(state)
        broken[draw.randrange(len(broken))] ^= 0xFF
        with_error = Router(BOTH)
        try:
            restore(with_error, bytes(broken))
        except InvalidInputError:
            assert len(with_error.experience) == 0

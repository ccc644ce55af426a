import random

import numpy as np
import pytest

from intelforge.models.router.quality import Judged, QualityModel
from intelforge.models.router.values import RequestFeatures
from intelforge.testing.router_world import request

PRIORS = np.asarray([0.5, 0.6], np.float32)
NOTHING = np.zeros((0, 2), np.float32)


def judged(count: int, *, vectors: bool = False) -> Judged:
    """Sums, which the first model gets wrong and the second right, and talk, which both get right."""
    draw = random.Random(3)
    kinds = [draw.choice(("sum", "talk")) for _ in range(count)]
    qualities = np.asarray([[float(kind == "talk"), 1.0] for kind in kinds], np.float32)
    requests = [request(kind, draw, vectors=vectors) for kind in kinds]
    return Judged(requests=requests, qualities=qualities, trust=np.ones_like(qualities), priors=PRIORS)


def asked(kind: str, *, vectors: bool = False) -> RequestFeatures:
    return request(kind, random.Random(99), vectors=vectors)


def test_before_anything_was_judged_the_catalogue_speaks() -> None:
    nothing = Judged(requests=[], qualities=NOTHING, trust=NOTHING, priors=PRIORS)
    for model in (QualityModel.of_priors(PRIORS), QualityModel.fit(nothing)):
        qualities, support = model.predict(asked("sum"))
        assert qualities == pytest.approx(PRIORS)
        assert support.tolist() == [0, 0]


@pytest.mark.parametrize("vectors", [False, True])
def test_what_a_model_is_bad_at_is_learned_from_its_replies(vectors: bool) -> None:
    model = QualityModel.fit(judged(200, vectors=vectors))
    sums, support = model.predict(asked("sum", vectors=vectors))
    talk, _ = model.predict(asked("talk", vectors=vectors))
    assert sums[0] < 0.4
    assert min(talk[0], sums[1]) > 0.8
    assert (support > 5).all()


def test_a_model_that_was_not_judged_shares_what_is_hard_for_others() -> None:
    data = judged(200)
    trust = data.trust.copy()
    trust[:, 1] = 0
    model = QualityModel.fit(Judged(requests=data.requests, qualities=data.qualities, trust=trust, priors=PRIORS))
    sums, support = model.predict(asked("sum"))
    talk, _ = model.predict(asked("talk"))
    assert talk[1] - sums[1] > 0.2
    assert support[1] == 0


def test_vectors_of_another_length_are_left_out() -> None:
    model = QualityModel.fit(judged(50))
    with_vector, _ = model.predict(asked("sum", vectors=True))
    assert np.isfinite(with_vector).all()

import numpy as np
import pytest

from intelforge.models.router.regression import Strength, mixed, solve


@pytest.mark.parametrize("missing", [0.0, 0.6])
def test_conjugate_gradients_give_what_the_whole_matrix_gives(missing: float) -> None:
    random = np.random.default_rng(0)
    rows, models = 30, 3
    points = random.normal(size=(rows, 4)).astype(np.float32)
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(2) / 4).astype(np.float32)
    residuals = random.normal(size=(rows, models)).astype(np.float32)
    trust = np.where(random.random((rows, models)) < missing, 0, random.uniform(0.2, 1, (rows, models)))
    strength = Strength(noise=0.7, shared=0.6)
    found = solve(kernel, residuals, trust.astype(np.float32), strength)

    seen = trust.ravel() > 0
    between = strength.shared * np.ones((models, models)) + (1 - strength.shared) * np.eye(models)
    whole = np.kron(kernel, between)[np.ix_(seen, seen)] + np.diag(strength.noise / trust.ravel()[seen])
    exact = np.zeros(rows * models)
    exact[seen] = np.linalg.solve(whole, residuals.ravel()[seen])
    assert found.ravel() == pytest.approx(exact, abs=5e-3)
    assert not found.ravel()[~seen].any()
    assert mixed(found, strength) == pytest.approx(found @ between, abs=1e-5)

import pytest

from intelforge.core.values import Attributes
from intelforge.index.fusion import Fused
from intelforge.index.priors import Priors

NOW = 1_800_000_000.0
DAY = 86400
FOUND = [
    Fused(chunk_id=f"{name}:0", document_id=name, score=score)
    for name, score in (("old", 0.9), ("new", 0.85), ("b", 0))
]
ABOUT = {
    "old": Attributes(modified=NOW - 300 * DAY, quality=1.0),
    "new": Attributes(modified=NOW + DAY, quality=0.2),
    "b": Attributes(modified=NOW - 30 * DAY, quality=0.5),
}


def test_they_are_off_by_default() -> None:
    assert not Priors()
    assert Priors().applied(FOUND, ABOUT) == FOUND


def test_a_newer_document_goes_before_an_older_one_that_is_a_little_better() -> None:
    found = Priors(half_life_days=30, at=NOW).applied(FOUND, ABOUT)
    assert [entry.document_id for entry in found] == ["new", "old", "b"]
    told = {entry.document_id: {part.part: part.scaled for part in entry.parts} for entry in found}
    assert told["b"]["recency"] == pytest.approx(0.5)
    assert told["new"]["recency"] == 1


def test_quality_counts_as_much_as_it_is_given() -> None:
    assert Priors(quality_weight=0.5).applied(FOUND, ABOUT)[0].document_id == "old"
    better = Priors(quality_weight=1.0).applied([FOUND[1], FOUND[2]], ABOUT | {"b": Attributes(quality=1.0)})
    assert [round(entry.score, 3) for entry in better] == [0.525, 0.5]


def test_scores_stay_the_sum_of_their_parts() -> None:
    for entry in Priors(half_life_days=30, quality_weight=0.5, at=NOW).applied(FOUND, ABOUT):
        assert sum(part.weight for part in entry.parts) == pytest.approx(1 - 1 / 1.25 / 1.5)
        assert 0 <= entry.score <= 1

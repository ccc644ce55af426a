import numpy as np

from intelforge.index.like import TELLING, Seed


def test_the_direction_is_the_mean_of_what_has_a_vector() -> None:
    seed = Seed(document_id="d", chunk_ids=["d:0", "d:1", "d:2"], text="")
    vectors = {"d:0": np.array([1, 0], np.float32), "d:2": np.array([0, 1], np.float32), "e:0": np.zeros(2, np.float32)}
    direction = seed.direction(vectors)
    assert direction is not None
    np.testing.assert_allclose(direction, [0.70710677, 0.70710677], rtol=1e-6)
    assert seed.direction({}) is None


def test_its_words_are_those_it_has_most_of() -> None:
    text = "the carrot and the soup and the carrot " + " ".join(f"word{n}" for n in range(100))
    words = Seed(document_id="d", chunk_ids=[], text=text).words.split()
    assert words[0] == "carrot"
    assert "the" not in words
    assert len(words) == TELLING

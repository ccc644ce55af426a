import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intelforge.models.router.words import PLACES, hashed_words


def test_digits_count_by_their_number_alone() -> None:
    one, other = hashed_words("take 12 of 345"), hashed_words("take 78 of 901")
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
    assert not np.array_equal(one[0], hashed_words("take 1234 of 345")[0])


def test_a_word_more_often_weighs_more() -> None:
    _, once = hashed_words("red")
    _, twice = hashed_words("red red")
    assert np.abs(twice).max() > np.abs(once).max() == 1


@given(st.text(max_size=300))
def test_places_are_in_order_and_each_once(text: str) -> None:
    places, values = hashed_words(text)
    assert len(places) == len(values)
    assert all(0 <= place < PLACES for place in places)
    assert (np.diff(places) > 0).all()

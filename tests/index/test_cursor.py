from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import InvalidInputError
from intelforge.index.cursor import Page, read_cursor

ids = st.lists(st.text(max_size=40), unique=True, max_size=50)


@given(st.text(), st.integers(0, 253_402_300_799), ids)
def test_a_cursor_gives_its_page_back(question: str, at: int, shown: list[str]) -> None:
    page = Page.first(question, at=at).after(shown)
    assert read_cursor(page.cursor, question) == page
    assert page.unseen([*shown, "another"]) == {"another"} - set(shown)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_a_made_up_cursor_is_refused(made_up: str) -> None:
    with pytest.raises(InvalidInputError, match="cursor"):
        read_cursor(made_up, "question")


@given(ids, st.randoms())
def test_a_changed_cursor_is_refused(shown: list[str], random: Random) -> None:
    cursor = Page.first("question", at=7).after(shown).cursor
    place = random.randrange(len(cursor) - 1)  # the last letter may have bits that stand for nothing
    other = random.choice([letter for letter in "ABCabc019-_" if letter != cursor[place]])
    with pytest.raises(InvalidInputError, match="cursor"):
        read_cursor(cursor[:place] + other + cursor[place + 1 :], "question")


def test_a_cursor_of_another_question_is_refused_and_says_so() -> None:
    with pytest.raises(InvalidInputError, match="is of another search"):
        read_cursor(Page.first("one", at=0).cursor, "other")


def test_a_cursor_of_a_time_that_never_comes_cannot_be_read() -> None:
    assert read_cursor(Page.first("q", at=253_402_300_799).cursor, "q").at == 253_402_300_799
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_cursor(Page.first("q", at=253_402_300_800).cursor, "q")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.index.analysis import LONGEST_TERM, MOST_PHRASES, quoted_phrases, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, twice twice", ["plain", "words", "twice", "twice"]),
        ("wait_for", ["wait_for", "wait", "for"]),
        ("parseHTTPHeader", ["parseHTTPHeader", "parse", "HTTP", "Header"]),
        ("os.path.join()", ["os", "path", "join"]),
        ("__init__", ["__init__", "init"]),
        ("utf8 int32", ["utf8", "int32"]),
        ("größe_max", ["größe_max", "größe", "max"]),
        ("東京都 天 v2東京", ["東京", "京都", "天", "v2", "東京"]),
        ("x = 7", ["7"]),
        ("about 0.22.", ["about", "0.22", "0", "22"]),
        ("v1.2 on python3.11.7", ["v1.2", "v1", "2", "on", "python3.11.7", "python3", "11", "7"]),
        ("f(1., 2)", ["1", "2"]),
        ("価格3.5円", ["価格", "3.5", "3", "5", "円"]),
        ("", []),
    ],
)
def test_words_give_themselves_and_identifiers_their_parts_too(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('find "exact words" here', ["exact words"]),
        ("`os.path` and “curly ones”", ["os.path", "curly ones"]),
        ('unbalanced " quote', []),
        ('"" "…"', []),
        (f'{"a long text " * 9} with one "word" in quotes', []),
    ],
)
def test_quoted_phrases_are_told_from_the_rest(query: str, expected: list[str]) -> None:
    assert sorted(quoted_phrases(query)) == sorted(expected)


@given(st.text())
def test_terms_hold_no_space_and_are_never_longer_than_the_limit(text: str) -> None:
    for term in terms(text):
        assert 0 < len(term) <= LONGEST_TERM
        assert not any(character.isspace() for character in term)


@given(st.text(), st.text())
def test_a_space_parts_texts_without_touching_either(left: str, right: str) -> None:
    assert terms(f"{left} {right}") == terms(left) + terms(right)


def test_only_the_first_of_many_quoted_phrases_count() -> None:
    many = [f"phrase number{number}" for number in range(300)]
    assert quoted_phrases(" ".join(f'"{phrase}"' for phrase in many)) == many[:MOST_PHRASES]

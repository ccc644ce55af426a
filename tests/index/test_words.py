import pytest

from intelforge.index.words import label_key, query_phrases, query_words, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the Queries of CLASSES, classes and a class", ["query", "class", "class", "class"]),
        ("status os analysis boss", ["status", "os", "analysis", "boss"]),
        ("parse_HTTPHeader", ["parse_httpheader", "parse", "http", "header"]),
        ("Größe naïve Cafés", ["große", "naive", "cafe"]),
        ("東京都", ["東京", "京都"]),
        ("カガ", ["カガ"]),
        ("\x00 \ud800 ...", []),
    ],
)
def test_words_are_found_whatever_their_case_accents_and_number(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_query_is_cut_and_its_phrases_are_words() -> None:
    assert len(query_words("pieces " * 5000)) == 1000
    assert query_phrases('"The broad exceptions" `of the`') == [["broad", "exception"]]


def test_the_key_of_a_label_is_plain_whatever_the_label() -> None:
    keys = {label_key(label) for label in ("a", "b'; DROP", "\x00", "\ud800", "")}
    assert len(keys) == 5
    assert all(key.isalnum() and len(key) == 16 for key in keys)

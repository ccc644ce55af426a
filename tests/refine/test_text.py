import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine.text import clean, declared_charset, decode, is_binary, source_charset

GERMAN = "Die Prüfung der Äcker übernimmt größtenteils der Förster. Schöne Grüße aus München! "


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_encodings_are_recognised(encoding: str) -> None:
    decoded = decode("Plain words and a Grüße\n".encode(encoding))
    assert decoded.text == "Plain words and a Grüße\n"
    assert not decoded.damaged


def test_plain_utf_8_says_nothing_about_its_encoding() -> None:
    assert decode("é".encode()).metadata == {}


def test_a_declared_encoding_is_used_when_the_bytes_are_not_utf_8() -> None:
    assert decode("наука".encode("koi8-r"), declared="koi8-r").text == "наука"
    assert decode("наука".encode(), declared="koi8-r").text == "наука"


def test_an_undeclared_encoding_is_guessed_and_noted() -> None:
    decoded = decode((GERMAN * 5).encode("cp1252"))
    assert decoded.text == GERMAN * 5
    assert decoded.metadata["encoding"] != "utf-8"


def test_broken_utf_8_keeps_what_is_readable_and_says_so() -> None:
    decoded = decode(GERMAN.encode() + b"\xff end")
    assert decoded.text == GERMAN + "\ufffd end"
    assert decoded.metadata == {"encoding": "utf-8", "note": "some bytes are not valid in this encoding"}


@pytest.mark.parametrize("data", [b"", b" \n\t"])
def test_nothing_is_refused_as_empty(data: bytes) -> None:
    with pytest.raises(ItemError, match="empty") as caught:
        decode(data)
    assert caught.value.error_code is ErrorCode.UNSUPPORTED


def test_newlines_are_one_character_and_lines_stay() -> None:
    assert clean("a\r\nb\rc\nd") == "a\nb\nc\nd"


def test_what_databases_refuse_is_replaced_in_place() -> None:
    assert clean("a\x00b\x0cc\ud800d\x1b") == "a b c\ufffdd "


@given(st.binary(min_size=1, max_size=400))
@settings(deadline=None)
def test_any_bytes_become_text_that_databases_hold(data: bytes) -> None:
    if data.strip():
        text = decode(data).text
        assert "\x00" not in text
        assert "\r" not in text
        text.encode()


def test_charsets_are_read_from_declarations() -> None:
    assert declared_charset("text/html; charset=ISO-8859-1") == "iso8859-1"
    assert declared_charset("text/html; charset=no-such") is None
    assert declared_charset(None) is None
    assert source_charset(b"#!/bin/x\n# -*- coding: cp1252 -*-\n") == "cp1252"
    assert source_charset(b"import codec\n") is None
    assert source_charset(b"# coding: rot13\n") is None


def test_binary_is_told_from_text_in_any_encoding() -> None:
    assert is_binary(bytes(range(256)) * 8)
    assert not is_binary(GERMAN.encode("cp1252"))
    assert not is_binary("words".encode("utf-16"))
    assert not is_binary("words and more of them".encode("utf-16-le"))
    assert not is_binary(b"one stray NUL \x00 in a text of words")

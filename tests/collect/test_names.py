"""Every file name has a printable URI that leads back to the same bytes."""

from hypothesis import example, given
from hypothesis import strategies as st

from intelforge.collect.names import path_of, uri_of


@given(st.binary())
@example(b"plain.txt")
@example(b"a\xffb")
@example("\ufffd0A".encode())
@example(b"\xef\xbf\xbd41")
@example("caf\u00e9/\u6587.md".encode())
def test_the_uri_leads_back_to_the_same_bytes(path: bytes) -> None:
    uri = uri_of(path)
    assert path_of(uri) == path
    uri.encode("utf-8")
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in uri)


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\ufffd")))
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert uri_of(name.encode()) == name


def test_odd_bytes_are_written_in_hexadecimal() -> None:
    assert uri_of(b"a\xffb\n.txt") == "a\ufffdFFb\ufffd0A.txt"

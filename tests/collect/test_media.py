"""Binary content is told by name where that is certain, and by its bytes otherwise."""

import pytest

from intelforge.collect.media import BINARY, DOCUMENTS, binary_by_name, extension_of, media_type
from intelforge.core.errors import ErrorCode, ItemError


@pytest.mark.parametrize(
    ("uri", "extension"),
    [
        ("a/b.TXT", ".txt"),
        ("a.b/c", ""),
        (".bashrc", ""),
        ("x.tar.gz", ".gz"),
        ("a.", "."),
        ("dir/.env.local", ".local"),
    ],
)
def test_the_extension_is_that_of_the_last_name(uri: str, extension: str) -> None:
    assert extension_of(uri) == extension


@pytest.mark.parametrize("name", ["a.png", "lib/x.SO", "y.pyc", "model.safetensors", "m.mp4"])
def test_certain_binaries_are_known_by_name(name: str) -> None:
    assert "is binary" in str(binary_by_name(name))


@pytest.mark.parametrize("name", ["a.pdf", "b.docx", "c.epub", "d.py", "Makefile", "e.unknown", "f.ts"])
def test_documents_and_unknown_names_are_looked_into(name: str) -> None:
    assert binary_by_name(name) is None


def test_no_document_is_binary_by_name() -> None:
    assert not BINARY.keys() & DOCUMENTS.keys()


@pytest.mark.parametrize(
    ("uri", "data", "expected"),
    [
        ("a.docx", b"PK\x03\x04rest", DOCUMENTS[".docx"]),
        ("a.pdf", b"not one", "application/pdf"),
        ("report", b"%PDF-1.7", "application/pdf"),
        ("a.md", b"# text", "text/markdown"),
        ("a.py", b"print()", None),
        ("a.unknown", b"", None),
        ("utf16.txt", b"\xff\xfea\x00", "text/plain"),
        ("latin.txt", b"caf\xe9", "text/plain"),
    ],
)
def test_media_type_of_what_can_be_read(uri: str, data: bytes, expected: str | None) -> None:
    assert media_type(uri, data) == expected


@pytest.mark.parametrize("data", [b"\x7fELF..", b"PK\x03\x04", b"\x1f\x8b..", b"text\x00more", b"\x89PNG\r\n\x1a\n"])
def test_binary_content_is_unsupported(data: bytes) -> None:
    with pytest.raises(ItemError) as caught:
        media_type("data.txt", data)
    assert caught.value.error_code is ErrorCode.UNSUPPORTED

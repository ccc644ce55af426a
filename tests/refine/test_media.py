import pytest

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine import media
from intelforge.refine.media import detect, language_of


@pytest.mark.parametrize(
    ("uri", "data", "declared", "expected"),
    [
        ("a.PY", b"x", None, "text/x-python"),
        ("dir.d/Makefile", b"x:", None, "text/x-make"),
        ("a.h", b"int f(void);", None, "text/x-c"),
        ("a.h", b"namespace a {}", None, "text/x-c++"),
        ("script", b"#!/usr/bin/env python3\n", None, "text/x-python"),
        ("script", b"#!/bin/bash\n", None, "text/x-shell"),
        ("https://x.org/page.php?a=b.md", b"<html>", "text/html; charset=utf-8", media.HTML),
        ("https://x.org/a.md?raw=1", b"# x", "text/plain", media.MARKDOWN),
        ("https://x.org/paper.pdf", b"<!doctype html><p>gone", "text/html", media.HTML),
        ("https://x.org/api", b"{}", "text/json", media.JSON),
        ("https://x.org/", b"\n<!-- x --><HTML><p>", None, media.HTML),
        ("paper.pdf", b"not a paper", None, media.PLAIN),
        ("note", b"words", "application/octet-stream", media.PLAIN),
        ("a.txt", b"%PDF-1.4", None, media.PDF),
        ("a.txt", b"\n\xef\x00junk\x00\x01\x02\n%PDF-1.4\n\x00", None, media.PDF),
        ("a.md", b"# Signatures\nPDF files begin with %PDF-1.7\n", None, media.MARKDOWN),
        ("unknown.xyz", "Grüße".encode("utf-16"), None, media.PLAIN),
    ],
)
def test_media_types_are_told_by_content_declaration_and_name(
    uri: str, data: bytes, declared: str | None, expected: str
) -> None:
    assert detect(data, uri=uri, declared=declared) == expected


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(50), ErrorCode.UNSUPPORTED, "an image"),
        (b"\x7fELF" + bytes(50), ErrorCode.UNSUPPORTED, "a program"),
        (bytes(range(256)), ErrorCode.UNSUPPORTED, "binary data"),
        (b"PK\x03\x04" + bytes(50), ErrorCode.UNSUPPORTED, "archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), ErrorCode.UNSUPPORTED, "before 2007"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            ErrorCode.ENCRYPTED,
            "encrypted",
        ),
    ],
)
def test_what_no_extractor_reads_is_refused_with_the_reason(data: bytes, code: ErrorCode, words: str) -> None:
    with pytest.raises(ItemError, match=words) as caught:
        detect(data, uri="file")
    assert caught.value.error_code is code


def test_source_code_has_a_language_and_prose_has_none() -> None:
    assert language_of("text/x-tsx") == "typescript"
    assert language_of("text/x-c++") == "c++"
    assert language_of(media.MARKDOWN) == ""

import pytest

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine.pdf import extract_pdf, paragraphs_of
from intelforge.testing.files import build_pdf


def test_pages_are_headings() -> None:
    extracted = extract_pdf(build_pdf(["First page.", "Second page."]), media_type="application/pdf")
    assert extracted.text == "First page.\n\nSecond page."
    assert [block.heading for block in extracted.blocks] == ["page 1", "page 2"]
    assert extracted.metadata["pages"] == "2"


def test_a_document_without_text_says_so() -> None:
    with pytest.raises(ItemError, match="no text layer") as caught:
        extract_pdf(build_pdf([""]), media_type="application/pdf")
    assert caught.value.error_code is ErrorCode.UNSUPPORTED


def test_a_document_that_is_no_pdf_is_damaged() -> None:
    with pytest.raises(ItemError, match="damaged") as caught:
        extract_pdf(b"%PDF-1.4 and nothing else", media_type="application/pdf")
    assert caught.value.error_code is ErrorCode.DAMAGED


def test_an_encrypted_document_says_so() -> None:
    data = build_pdf(["Secret words."])
    protection = (
        b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"41" * 32 + b"> /U <" + b"42" * 32 + b"> >> "
        b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>] "
    )
    with pytest.raises(ItemError, match="encrypted") as caught:
        extract_pdf(data.replace(b"/Root 1 0 R", protection + b"/Root 1 0 R"), media_type="application/pdf")
    assert caught.value.error_code is ErrorCode.ENCRYPTED


def test_full_lines_are_joined_and_divided_words_made_whole() -> None:
    text = (
        "Introduction\n"
        "This is a line of the usual length that is conti-\n"
        "nued on the next one until it comes to an end at\n"
        "some point.\n"
        "• An item of a list that is as long as a full line\n"
        "• Another\n"
    )
    assert list(paragraphs_of(text)) == [
        "Introduction",
        "This is a line of the usual length that is continued on the next one until it comes to an end at some point.",
        "• An item of a list that is as long as a full line",
        "• Another",
    ]
    assert list(paragraphs_of("\n")) == []

"""What holds for every media type."""

import random
import re
import string
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.core.values import Document, Item
from intelforge.refine.document import refine
from intelforge.refine.media import detect
from intelforge.refine.tokens import estimate
from intelforge.testing.files import BUILDERS, build_docx, build_text

MAX_TOKENS = 60
WORD = st.text(string.ascii_letters + "äöüéñß", min_size=1, max_size=12)
PARAGRAPHS = st.lists(st.lists(WORD, min_size=1, max_size=30).map(" ".join), min_size=1, max_size=5)
relaxed = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def refined(name: str, data: bytes, *, media_type: str | None = None) -> Document:
    return refine(Item(uri=name, data=data, media_type=media_type), count=estimate, max_tokens=MAX_TOKENS)


def assert_chunks_hold(document: Document) -> None:
    position = 0
    for ordinal, chunk in enumerate(document.chunks):
        assert chunk.id == f"{document.id}:{ordinal}"
        assert document.text[chunk.start : chunk.end] == chunk.text == chunk.text.strip() != ""
        assert not document.text[position : chunk.start].strip()
        assert estimate(chunk.embedding_text) <= MAX_TOKENS
        position = chunk.end
    assert not document.text[position:].strip()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", document.text)


def assert_document_or_error(name: str, data: bytes) -> ItemError | None:
    """Any other exception is a failure."""
    try:
        document = refined(name, data)
    except ItemError as error:
        return error
    assert_chunks_hold(document)
    return None


@pytest.mark.parametrize("name", BUILDERS)
@given(paragraphs=PARAGRAPHS)
@relaxed
def test_words_come_out_in_exact_spans(name: str, paragraphs: Sequence[str]) -> None:
    document = refined(name, BUILDERS[name](paragraphs))
    assert_chunks_hold(document)
    found = re.findall(r"\w+", " ".join(chunk.text for chunk in document.chunks))
    wanted = re.findall(r"\w+", " ".join(paragraphs))
    missing = set(wanted) - set(found)
    assert not missing


@pytest.mark.parametrize("name", BUILDERS)
def test_damaged_files_give_a_document_or_an_item_error(name: str) -> None:
    data = BUILDERS[name](["Some words that are here.", "And some more of them."])
    chance = random.Random(name)
    damaged = [data[: chance.randrange(len(data))] for _ in range(8)]
    for _ in range(12):
        flipped = bytearray(data)
        for _ in range(chance.choice((1, 10, 100))):
            flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(flipped))
    for each in damaged:
        error = assert_document_or_error(name, each)
        assert error is None or (str(error).startswith(f"{name}: ") and "\n" not in str(error))


@pytest.mark.parametrize("name", BUILDERS)
@given(data=st.binary(max_size=300))
@settings(max_examples=20, deadline=None)
def test_any_bytes_give_a_document_or_an_item_error(name: str, data: bytes) -> None:
    error = assert_document_or_error(name, data)
    assert error is None or error.hint


@pytest.mark.parametrize("name", BUILDERS)
def test_an_empty_file_is_skipped_as_empty(name: str) -> None:
    with pytest.raises(ItemError, match="is empty") as caught:
        refined(name, b"")
    assert caught.value.error_code is ErrorCode.UNSUPPORTED


def test_equal_content_is_one_document_whatever_its_name() -> None:
    assert refined("a.txt", build_text(["x"])).id == refined("other/b.txt", build_text(["x"])).id
    assert refined("a.txt", build_text(["x"])).id != refined("a.md", build_text(["x"])).id
    assert refined("a.txt", b"a\r\nb").id == refined("a.txt", b"a\nb").id


def test_a_cut_off_docx_is_damaged() -> None:
    with pytest.raises(ItemError, match="damaged") as caught:
        refined("a.docx", build_docx(["words"])[:-200])
    assert caught.value.error_code is ErrorCode.DAMAGED


def test_what_a_library_raises_names_the_file() -> None:
    with pytest.raises(ItemError, match=r"^a\.ipynb: the notebook is damaged"):
        refined("a.ipynb", b'{"cells": 5}')


@pytest.mark.parametrize("name", BUILDERS)
def test_content_is_recognised_when_the_name_says_nothing(name: str) -> None:
    if name.partition(".")[2] in ("docx", "pptx", "xlsx", "epub", "pdf", "html"):
        data = BUILDERS[name](["words"])
        assert detect(data, uri="download") == detect(data, uri=name)

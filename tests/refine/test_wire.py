import io

import pytest

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.core.values import Document, Item
from intelforge.refine.document import refine
from intelforge.refine.tokens import estimate
from intelforge.refine.wire import decode_reply, encode_reply, read_frame, read_item, write_frame, write_item


def test_an_item_arrives_as_it_was_sent() -> None:
    stream = io.BytesIO()
    item = Item(uri="grüße.md", data=bytes(range(256)), media_type="text/markdown; charset=utf-8")
    write_item(stream, item)
    stream.seek(0)
    assert read_item(stream) == item
    assert read_item(stream) is None


@pytest.mark.parametrize("kept", [0, 3, 8, 10])
def test_a_stream_that_ends_within_a_frame_has_ended(kept: int) -> None:
    stream = io.BytesIO()
    write_frame(stream, b"words")
    assert read_frame(io.BytesIO(stream.getvalue()[:kept])) is None


def test_a_document_arrives_with_its_chunks() -> None:
    document = refine(Item(uri="a.md", data="# Ä\n\nWords 漢\n".encode()), count=estimate, max_tokens=100)
    outcome, retired = decode_reply(encode_reply(document, retire=True))
    assert isinstance(outcome, Document)
    assert outcome == document
    assert retired


def test_an_error_arrives_with_its_code_and_hint() -> None:
    sent = ItemError("a.pdf: is encrypted", hint="save it", code=ErrorCode.ENCRYPTED)
    outcome, retired = decode_reply(encode_reply(sent, retire=False))
    assert isinstance(outcome, ItemError)
    assert (str(outcome), outcome.error_code) == (str(sent), ErrorCode.ENCRYPTED)
    assert not retired

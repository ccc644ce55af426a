"""What goes over the pipes between the pool and its workers: length-prefixed frames of JSON and raw bytes.

JSON and not pickle: a worker reads files from anywhere, so the parent must not run what it says. The texts of chunks
are not sent; the parent cuts them out of the document's text.
"""

import json
import struct
from typing import Any, BinaryIO

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.core.values import Chunk, Document, Item

_LENGTH = struct.Struct(">Q")


def write_frame(stream: BinaryIO, data: bytes) -> None:
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """None at the end of the stream, also when it ends within a frame."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


def write_item(stream: BinaryIO, item: Item) -> None:
    head = {"uri": item.uri, "media_type": item.media_type}
    write_frame(stream, json.dumps(head).encode())
    write_frame(stream, item.data)


def read_item(stream: BinaryIO) -> Item | None:
    head, data = read_frame(stream), read_frame(stream)
    if head is None or data is None:
        return None
    return Item(data=data, **json.loads(head))


def encode_reply(outcome: Document | ItemError, *, retire: bool) -> bytes:
    """`retire` tells that the worker ends after this reply."""
    if isinstance(outcome, ItemError):
        body: dict[str, Any] = {"error": [outcome.message, outcome.hint, outcome.error_code.value]}
    else:
        body = {"document": _packed(outcome)}
    return json.dumps({**body, "retire": retire}, ensure_ascii=False).encode()


def decode_reply(data: bytes) -> tuple[Document | ItemError, bool]:
    """The outcome of one item, and whether its worker has ended since."""
    reply = json.loads(data)
    if "error" in reply:
        message, hint, code = reply["error"]
        return ItemError(message, hint=hint, code=ErrorCode(code)), reply["retire"]
    return _unpacked(reply["document"]), reply["retire"]


def _packed(document: Document) -> dict[str, Any]:
    fields = {name: getattr(document, name) for name in ("id", "text", "media_type", "title", "language")}
    chunks = [[chunk.start, chunk.end, chunk.heading, chunk.kind, chunk.tokens] for chunk in document.chunks]
    return {**fields, "metadata": dict(document.metadata), "chunks": chunks}


def _unpacked(fields: dict[str, Any]) -> Document:
    document_id, text = fields["id"], fields["text"]
    chunks = tuple(
        Chunk(
            id=f"{document_id}:{ordinal}",
            document_id=document_id,
            ordinal=ordinal,
            start=start,
            end=end,
            text=text[start:end],
            heading=heading,
            kind=kind,
            tokens=tokens,
        )
        for ordinal, (start, end, heading, kind, tokens) in enumerate(fields.pop("chunks"))
    )
    return Document(**fields, chunks=chunks)

"""Documents made of a text, for tests of what comes after refining."""

import hashlib
import re

from intelforge.core.values import Chunk, Document


def make_document(text: str, *, title: str = "") -> Document:
    """A plain text document; every paragraph is a chunk."""
    document_id = hashlib.sha256(text.encode()).hexdigest()[:32]
    chunks = tuple(
        Chunk(
            id=f"{document_id}:{ordinal}",
            document_id=document_id,
            ordinal=ordinal,
            start=paragraph.start(),
            end=paragraph.end(),
            text=paragraph[0],
            tokens=len(paragraph[0].split()),
        )
        for ordinal, paragraph in enumerate(re.finditer(r"\S(?:.|\n(?!\n))*", text))
    )
    return Document(id=document_id, text=text, media_type="text/plain", title=title, chunks=chunks)

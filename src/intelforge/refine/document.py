"""Item in, document out: detect, extract, identify, chunk. No files, no network, no clock."""

import hashlib
import importlib
from typing import cast

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.core.values import Document, Item
from intelforge.refine import media
from intelforge.refine.chunk import chunk
from intelforge.refine.protocol import Extracted, Extractor, TokenCounter
from intelforge.refine.text import declared_charset

_PLAIN = "intelforge.refine.plain:extract_plain"
_EXTRACTORS = {
    media.MARKDOWN: "intelforge.refine.markdown:extract_markdown",
    media.HTML: "intelforge.refine.html:extract_html",
    media.RST: "intelforge.refine.rst:extract_rst",
    media.PDF: "intelforge.refine.pdf:extract_pdf",
    media.DOCX: "intelforge.refine.docx:extract_docx",
    media.PPTX: "intelforge.refine.pptx:extract_pptx",
    media.XLSX: "intelforge.refine.xlsx:extract_xlsx",
    media.EPUB: "intelforge.refine.epub:extract_epub",
    media.EMAIL: "intelforge.refine.email:extract_email",
    media.CSV: "intelforge.refine.csv:extract_csv",
    media.TSV: "intelforge.refine.csv:extract_csv",
    media.JSON: "intelforge.refine.json:extract_json",
    media.JSON_LINES: "intelforge.refine.json:extract_json",
    media.NOTEBOOK: "intelforge.refine.notebook:extract_notebook",
} | dict.fromkeys(media.PARSED_LANGUAGES, "intelforge.refine.code:extract_code")
"""Named, not imported: a worker loads the libraries of the media types it meets."""


def refine(item: Item, *, count: TokenCounter, max_tokens: int) -> Document:
    """The document of an item, with chunks of at most `max_tokens` tokens.

    Equal texts of equal media type have equal ids, whatever the items are called. Raises ItemError with the reason.
    """
    try:
        extracted = _extract(item)
        document_id = identify(extracted)
        chunks = chunk(extracted, document_id=document_id, max_tokens=max_tokens, count=count)
    except ItemError as error:
        raise ItemError(f"{item.uri}: {error.message}", hint=error.hint, code=error.error_code) from error
    except MemoryError as error:
        raise ItemError(
            f"{item.uri}: extracting its text takes too much memory",
            hint="raise extract_memory_mb, or leave the item out",
            code=ErrorCode.OUT_OF_MEMORY,
        ) from error
    except Exception as error:
        raise ItemError(
            f"{item.uri}: its content cannot be read ({type(error).__name__}: {error})"[:300],
            hint="open it with its own program and save it again",
        ) from error
    return Document(
        id=document_id,
        text=extracted.text,
        media_type=extracted.media_type,
        title=extracted.title,
        language=extracted.language,
        metadata=extracted.metadata,
        chunks=chunks,
    )


def identify(extracted: Extracted) -> str:
    """32 hexadecimal characters: SHA-256, cut in half, of media type and text."""
    content = f"{extracted.media_type}\n{extracted.text}"
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def extractor_of(media_type: str) -> Extractor:
    """The extractor of a media type, imported now; plain text for every type that has none of its own."""
    module, _, function = _EXTRACTORS.get(media_type, _PLAIN).partition(":")
    return cast(Extractor, getattr(importlib.import_module(module), function))


def _extract(item: Item) -> Extracted:
    if not item.data.strip():
        raise ItemError("the item is empty", hint="nothing to do", code=ErrorCode.UNSUPPORTED)
    media_type = media.detect(item.data, uri=item.uri, declared=item.media_type)
    return extractor_of(media_type)(item.data, media_type=media_type, charset=declared_charset(item.media_type))

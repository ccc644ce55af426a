"""PDF by pypdfium2: a block for every paragraph of a page, under the heading `page N`."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine.protocol import Extracted
from intelforge.refine.text import clean
from intelforge.refine.writer import Writer

FULL_LINE = 0.75
"""A line of at least this part of the page's usual long line goes on in the next one."""

_HYPHEN = re.compile(r"(?<=\w)[-\u00ad\u2010]\n(?=[a-zß-ÿ])")
_DIVIDED = re.compile("[\ufffe\x02]\r?\n?")
"""what pdfium gives for the hyphen of a divided word"""
_NEW_BLOCK = re.compile(r"\s*(?:[-•*‣▪–—]\s|\(?\d{1,3}[.)]\s|[a-z]\)\s)")
_DETAILS = {"Author": "author", "CreationDate": "date", "Subject": "description", "Keywords": "keywords"}


def extract_pdf(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when it is encrypted, damaged, or holds pictures of text only."""
    import pypdfium2  # type: ignore[import-untyped]

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise _refusal(error) from error
    try:
        return _extracted(document, media_type)
    finally:
        document.close()


def _refusal(error: Exception) -> ItemError:
    if getattr(error, "err_code", None) == 4:  # FPDF_ERR_PASSWORD
        return ItemError("the document is encrypted", hint="save it without a password", code=ErrorCode.ENCRYPTED)
    return ItemError(f"the document is damaged ({error})", hint="fetch or save it again")


def _extracted(document: Any, media_type: str) -> Extracted:
    import pypdfium2

    writer, unread = Writer(), 0
    for number in range(1, len(document) + 1):
        try:
            text = _page_text(document, number - 1)
        except pypdfium2.PdfiumError:
            unread += 1
            continue
        writer.open_heading(f"page {number}", 1)
        for paragraph in paragraphs_of(text):
            writer.write(paragraph)
    if not writer.length:
        raise ItemError(
            f"the document has no text layer ({len(document)} pages)",
            hint="run it through a text recognition (OCR) program first",
            code=ErrorCode.UNSUPPORTED,
        )
    metadata = {name: document.get_metadata_value(key) for key, name in _DETAILS.items()}
    metadata["pages"] = str(len(document))
    if unread:
        metadata["note"] = f"{unread} of {len(document)} pages could not be read"
    return writer.finish(media_type=media_type, title=document.get_metadata_value("Title"), metadata=metadata)


def _page_text(document: Any, index: int) -> str:
    page = document.get_page(index)
    try:
        text_page = page.get_textpage()
        try:
            return clean(_DIVIDED.sub("", str(text_page.get_text_bounded())))
        finally:
            text_page.close()
    finally:
        page.close()


def paragraphs_of(text: str) -> Iterator[str]:
    """The paragraphs of a page: full lines are joined with the next, words that were divided are whole again."""
    lines = [" ".join(line.split()) for line in _HYPHEN.sub("", text).split("\n")]
    lengths = sorted(len(line) for line in lines if line)
    if not lengths:
        return
    full = FULL_LINE * lengths[len(lengths) * 9 // 10]
    paragraph: list[str] = []
    for line, following in pairwise((*lines, "")):
        if line:
            paragraph.append(line)
        if paragraph and (len(line) < full or not following or _NEW_BLOCK.match(following)):
            yield " ".join(paragraph)
            paragraph = []

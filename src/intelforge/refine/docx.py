"""DOCX by python-docx: headings, paragraphs, lists and table rows in the order of the document."""

import io
import re
from collections.abc import Iterator
from typing import Any

from intelforge.core.errors import ItemError
from intelforge.refine.archive import open_archive
from intelforge.refine.protocol import Extracted
from intelforge.refine.writer import Writer

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_HEADING = re.compile(r"(?:heading|überschrift|titre) (\d)", re.IGNORECASE)
_MARKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}


def extract_docx(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Headers and footers are left out. Raises ItemError when it is damaged, encrypted or holds no text."""
    open_archive(data).close()
    import docx
    from docx.opc.exceptions import PackageNotFoundError

    try:
        document = docx.Document(io.BytesIO(data))
    except (PackageNotFoundError, KeyError, ValueError) as error:
        raise ItemError(f"the document is damaged ({error})", hint="open it in Word and save it again") from error
    styles = {style.style_id: style.name or "" for style in document.styles}
    writer = Writer()
    for element in document.element.body.iterchildren():
        _write(element, styles, writer)
    details = document.core_properties
    metadata = {"author": details.author, "date": str(details.modified or ""), "description": details.subject}
    return writer.finish(media_type=media_type, title=details.title or writer.first_heading, metadata=metadata)


def _write(element: Any, styles: dict[str, str], writer: Writer) -> None:
    if element.tag == f"{_W}p":
        _write_paragraph(element, styles, writer)
    elif element.tag == f"{_W}tbl":
        for row in element.iter(f"{_W}tr"):
            cells = (" ".join(_text(cell).split()) for cell in row.iterchildren(f"{_W}tc"))
            writer.write(" | ".join(cell for cell in cells if cell), "table_row")
    else:
        for child in element.iterchildren(f"{_W}p", f"{_W}tbl", f"{_W}sdtContent"):
            _write(child, styles, writer)


def _write_paragraph(element: Any, styles: dict[str, str], writer: Writer) -> None:
    style_element = element.find(f"{_W}pPr/{_W}pStyle")
    style = styles.get(style_element.get(f"{_W}val"), "") if style_element is not None else ""
    heading = _HEADING.match(style)
    if heading:
        writer.write_heading(_text(element), int(heading[1]) + 1)
    elif style == "Title":
        writer.write_heading(_text(element), 1)
    else:
        is_list = element.find(f"{_W}pPr/{_W}numPr") is not None or style.startswith("List")
        writer.write(_text(element), "list" if is_list else "paragraph")


def _text(element: Any) -> str:
    return "".join(_runs(element))


def _runs(element: Any) -> Iterator[str]:
    """Text in reading order; what is repeated for old programs is left out."""
    for child in element.iterchildren():
        if child.tag == f"{_W}t":
            yield child.text or ""
        elif child.tag in _MARKS:
            yield _MARKS[child.tag]
        elif child.tag != _FALLBACK:
            yield from _runs(child)
            if child.tag == f"{_W}p":
                yield "\n"

"""PPTX by python-pptx: slides under their titles, with tables and speaker notes."""

import io
from collections.abc import Iterable
from typing import Any

from intelforge.core.errors import ItemError
from intelforge.refine.archive import open_archive
from intelforge.refine.protocol import Extracted
from intelforge.refine.writer import Writer


def extract_pptx(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when it is damaged, encrypted or holds no text."""
    open_archive(data).close()
    import pptx
    from pptx.exc import PythonPptxError

    try:
        presentation = pptx.Presentation(io.BytesIO(data))
    except (PythonPptxError, KeyError, ValueError) as error:
        raise ItemError(
            f"the presentation is damaged ({error})", hint="open it in PowerPoint and save it again"
        ) from error
    writer = Writer()
    for number, slide in enumerate(presentation.slides, start=1):
        _write_slide(number, slide, writer)
    details = presentation.core_properties
    metadata = {"author": details.author, "slides": str(len(presentation.slides)), "description": details.subject}
    title = details.title if details.title != "PowerPoint Presentation" else ""
    return writer.finish(media_type=media_type, title=title, metadata=metadata)


def _write_slide(number: int, slide: Any, writer: Writer) -> None:
    title = slide.shapes.title
    name = " ".join(title.text_frame.text.split()) if title is not None else ""
    writer.open_heading(f"slide {number}: {name}" if name else f"slide {number}", 1)
    writer.write(name, "heading")
    _write_shapes((shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id), writer)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        writer.open_heading("notes", 2)
        _write_paragraphs(slide.notes_slide.notes_text_frame, writer)


def _write_shapes(shapes: Iterable[Any], writer: Writer) -> None:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            _write_shapes(shape.shapes, writer)
        elif getattr(shape, "has_table", False):
            for row in shape.table.rows:
                cells = (" ".join(cell.text_frame.text.split()) for cell in row.cells)
                writer.write(" | ".join(cell for cell in cells if cell), "table_row")
        elif shape.has_text_frame:
            _write_paragraphs(shape.text_frame, writer)


def _write_paragraphs(frame: Any, writer: Writer) -> None:
    for paragraph in frame.paragraphs:
        writer.write(paragraph.text.replace("\v", "\n"), "list" if paragraph.level else "paragraph")

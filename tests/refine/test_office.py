"""DOCX, PPTX, XLSX and EPUB."""

import io
import zipfile
from datetime import date

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
import pytest
from pptx.util import Inches

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine import media, xlsx
from intelforge.refine.docx import extract_docx
from intelforge.refine.epub import extract_epub
from intelforge.refine.pptx import extract_pptx
from intelforge.refine.protocol import Extracted
from intelforge.refine.xlsx import extract_xlsx
from intelforge.testing.files import build_epub


def found(extracted: Extracted) -> list[tuple[str, str, str]]:
    return [(block.kind, block.heading, extracted.text[block.start : block.end]) for block in extracted.blocks]


def saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def test_docx_is_read_in_the_order_of_the_document() -> None:
    document = docx.Document()
    document.core_properties.author = "Ann"
    document.add_heading("Report", 0)
    document.add_heading("Part", 1)
    document.add_paragraph("Words\tand").add_run(" more")
    document.add_paragraph("item", style="List Bullet")
    table = document.add_table(2, 2)
    for number, text in enumerate(["Name", "Size", "disk", "2"]):
        table.cell(number // 2, number % 2).text = text
    document.add_paragraph("After")
    extracted = extract_docx(saved(document), media_type=media.DOCX)
    assert found(extracted) == [
        ("heading", "Report", "Report"),
        ("heading", "Report > Part", "Part"),
        ("paragraph", "Report > Part", "Words\tand more"),
        ("list", "Report > Part", "item"),
        ("table_row", "Report > Part", "Name | Size"),
        ("table_row", "Report > Part", "disk | 2"),
        ("paragraph", "Report > Part", "After"),
    ]
    assert extracted.metadata["author"] == "Ann"
    assert extracted.title in ("Report", "Word Document")


def test_slides_hold_text_tables_groups_and_notes() -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Plan"
    table = slide.shapes.add_table(1, 2, 0, 0, Inches(1), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 1, 1).text_frame.text = "grouped"
    slide.notes_slide.notes_text_frame.text = "say this"
    presentation.slides.add_slide(presentation.slide_layouts[6]).shapes.add_textbox(0, 0, 1, 1).text_frame.text = "bare"
    extracted = extract_pptx(saved(presentation), media_type=media.PPTX)
    assert found(extracted) == [
        ("heading", "slide 1: Plan", "Plan"),
        ("table_row", "slide 1: Plan", "a | b"),
        ("paragraph", "slide 1: Plan", "grouped"),
        ("paragraph", "slide 1: Plan > notes", "say this"),
        ("paragraph", "slide 2", "bare"),
    ]
    assert extracted.title == ""


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "People"
    for row in (["name", "born", "score"], ["Ann", date(1990, 5, 1), 2.0], [], ["Bob", None, 2.5, "extra"]):
        book.active.append(row)
    book.create_sheet("Numbers").append([1, 2])
    return saved(book)


def test_rows_name_their_columns() -> None:
    extracted = extract_xlsx(workbook(), media_type=media.XLSX)
    assert found(extracted) == [
        ("table_row", "People", "name | born | score"),
        ("table_row", "People", "name: Ann; born: 1990-05-01; score: 2"),
        ("table_row", "People", "name: Bob; score: 2.5; extra"),
        ("table_row", "Numbers", "1; 2"),
    ]
    assert extracted.metadata["rows"] == "4"


def test_rows_beyond_the_cap_are_left_out_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_ROWS", 2)
    extracted = extract_xlsx(workbook(), media_type=media.XLSX)
    assert len(extracted.blocks) == 2
    assert extracted.metadata["note"] == "only the first 2 rows are taken"


def test_chapters_stand_in_the_order_of_the_spine() -> None:
    extracted = extract_epub(build_epub(["one", "two"]), media_type=media.EPUB)
    assert extracted.text == "Chapter\n\none\n\nChapter\n\ntwo"
    assert (extracted.title, extracted.metadata["author"]) == ("Book", "Ann")


def repacked(data: bytes, changes: dict[str, bytes | None]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        parts: dict[str, bytes | None] = {name: source.read(name) for name in source.namelist()}
        for name, content in (parts | changes).items():
            if content is not None:
                target.writestr(name, content)
    return buffer.getvalue()


def test_a_missing_chapter_is_noted() -> None:
    data = repacked(build_epub(["one", "two"]), {"OEBPS/chapter0.xhtml": None})
    extracted = extract_epub(data, media_type=media.EPUB)
    assert extracted.text == "Chapter\n\ntwo"
    assert extracted.metadata["note"] == "1 chapters could not be read"


def test_a_protected_book_says_so() -> None:
    with pytest.raises(ItemError, match="copy-protected") as caught:
        extract_epub(repacked(build_epub(["one"]), {"META-INF/rights.xml": b"<x/>"}), media_type=media.EPUB)
    assert caught.value.error_code is ErrorCode.ENCRYPTED


@pytest.mark.parametrize("changes", [{"META-INF/container.xml": None}, {"OEBPS/book.opf": b"<broken"}])
def test_a_book_without_its_parts_is_damaged(changes: dict[str, bytes | None]) -> None:
    with pytest.raises(ItemError, match="the book is damaged"):
        extract_epub(repacked(build_epub(["one"]), changes), media_type=media.EPUB)


def test_what_is_no_office_document_is_damaged() -> None:
    data = repacked(build_epub(["one"]), {})
    with pytest.raises(ItemError, match="the document is damaged"):
        extract_docx(data, media_type=media.DOCX)
    with pytest.raises(ItemError, match="the presentation is damaged"):
        extract_pptx(data, media_type=media.PPTX)
    with pytest.raises(ItemError, match="the workbook is damaged"):
        extract_xlsx(data, media_type=media.XLSX)

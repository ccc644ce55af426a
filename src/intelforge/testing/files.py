"""Small real documents of every media type, built from paragraphs, for tests."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from html import escape
from xml.sax.saxutils import escape as escape_xml

Builder = Callable[[Sequence[str]], bytes]


def build_docx(paragraphs: Sequence[str]) -> bytes:
    """A heading, the paragraphs, and a table of one row with the last of them."""
    import docx

    document = docx.Document()
    document.add_heading("Heading", 1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if paragraphs:
        document.add_table(1, 1).rows[0].cells[0].text = paragraphs[-1]
    return _saved(document.save)


def build_pptx(paragraphs: Sequence[str]) -> bytes:
    """One slide for each paragraph, with speaker notes on the first."""
    import pptx

    presentation = pptx.Presentation()
    for number, paragraph in enumerate(paragraphs):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = f"Title {number}"
        slide.placeholders[1].text = paragraph
        if not number:
            slide.notes_slide.notes_text_frame.text = "Speaker notes"
    return _saved(presentation.save)


def build_xlsx(paragraphs: Sequence[str]) -> bytes:
    """A sheet with the columns `number` and `text`."""
    import openpyxl  # type: ignore[import-untyped]

    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.append(["number", "text"])
    for number, paragraph in enumerate(paragraphs):
        sheet.append([number, f"'{paragraph}" if paragraph.startswith("=") else paragraph])
    return _saved(workbook.save)


def build_epub(paragraphs: Sequence[str]) -> bytes:
    """A book with one chapter for each paragraph."""
    names = [f"chapter{number}.xhtml" for number in range(len(paragraphs))]
    manifest = "".join(f'<item id="{n}" href="{n}" media-type="application/xhtml+xml"/>' for n in names)
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        )
        archive.writestr(
            "OEBPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<dc:title>Book</dc:title><dc:creator>Ann</dc:creator></metadata><manifest>{manifest}</manifest>"
            f"<spine>{spine}</spine></package>",
        )
        for name, paragraph in zip(names, paragraphs, strict=True):
            archive.writestr(
                f"OEBPS/{name}",
                '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title>'
                f"</head><body><h1>Chapter</h1><p>{escape_xml(paragraph)}</p></body></html>",
            )
    return buffer.getvalue()


def build_html(paragraphs: Sequence[str]) -> bytes:
    """A page with a navigation, an article and a footer."""
    body = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return (
        '<!DOCTYPE html><html><head><meta charset="utf-8"><title>Page</title></head><body><nav>Menu</nav>'
        f"<article><h1>Heading</h1>{body}</article><footer>Foot</footer></body></html>"
    ).encode()


def build_pdf(paragraphs: Sequence[str]) -> bytes:
    """One page for each paragraph of Latin-1 text; a page without text for an empty one."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    pages = []
    for paragraph in paragraphs:
        content = f"BT /F1 12 Tf 50 700 Td ({_pdf_string(paragraph)}) Tj ET" if paragraph else ""
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        pages.append(len(objects) + 1)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9000 792] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
    objects[1] = f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(f'{page} 0 R' for page in pages)}] >>"
    return _pdf_file(objects)


def _pdf_string(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _pdf_file(objects: Sequence[str]) -> bytes:
    data, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    return data + (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
        f"startxref\n{len(data)}\n%%EOF\n"
    ).encode("latin-1")


def build_email(paragraphs: Sequence[str]) -> bytes:
    """A message with a plain body and an attachment."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.org", "bob@example.org", "Subject line"
    message.set_content("\n\n".join(paragraphs))
    message.add_attachment(b"data", maintype="application", subtype="octet-stream", filename="plan.bin")
    return message.as_bytes()


def build_csv(paragraphs: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["number", "text"])
    writer.writerows(enumerate(paragraphs))
    return buffer.getvalue().encode()


def build_tsv(paragraphs: Sequence[str]) -> bytes:
    return "\n".join(["number\ttext", *(f"{n}\t{text}" for n, text in enumerate(paragraphs))]).encode()


def build_json(paragraphs: Sequence[str]) -> bytes:
    return json.dumps({"title": "Data", "texts": list(paragraphs)}, ensure_ascii=False, indent=1).encode()


def build_json_lines(paragraphs: Sequence[str]) -> bytes:
    return "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in ("first", *paragraphs)).encode()


def build_notebook(paragraphs: Sequence[str]) -> bytes:
    cells = [{"cell_type": "markdown", "source": ["# Heading\n", "\n", "Introduction"]}]
    cells += [{"cell_type": "code", "source": [text]} for text in paragraphs]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}, ensure_ascii=False).encode()


def build_text(paragraphs: Sequence[str]) -> bytes:
    return "\n\n".join(("Text", *paragraphs)).encode()


def build_markdown(paragraphs: Sequence[str]) -> bytes:
    return "\n\n".join(("# Heading", *paragraphs)).encode()


def build_rst(paragraphs: Sequence[str]) -> bytes:
    return "\n\n".join(("Heading\n=======", *paragraphs)).encode()


def _comments(mark: str, definition: str) -> Builder:
    def build(paragraphs: Sequence[str]) -> bytes:
        return "\n".join((*(f"{mark} {text}" for text in paragraphs), definition, "")).encode()

    return build


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


BUILDERS: dict[str, Builder] = {
    "a.docx": build_docx,
    "a.pptx": build_pptx,
    "a.xlsx": build_xlsx,
    "a.epub": build_epub,
    "a.html": build_html,
    "a.pdf": build_pdf,
    "a.eml": build_email,
    "a.csv": build_csv,
    "a.tsv": build_tsv,
    "a.json": build_json,
    "a.jsonl": build_json_lines,
    "a.ipynb": build_notebook,
    "a.txt": build_text,
    "a.md": build_markdown,
    "a.rst": build_rst,
    "a.py": _comments("#", "class Task:\n    def cancel(self):\n        return 1\n"),
    "a.js": _comments("//", "export const run = () => { return 1 };"),
    "a.ts": _comments("//", "interface Task { cancel(): void }"),
    "a.tsx": _comments("//", "const view = () => <p>x</p>;"),
    "a.go": _comments("//", "func Run() {}"),
    "a.rs": _comments("//", "impl Task { fn cancel(&self) {} }"),
    "a.java": _comments("//", "class Task { void cancel() {} }"),
    "a.c": _comments("//", "int run(void) { return 1; }"),
    "a.cpp": _comments("//", "namespace n { struct Task { void cancel() {} }; }"),
    "a.rb": _comments("#", "def run; end"),
    "a.yaml": _comments("#", "name: task"),
}
"""By a file name that tells the media type."""

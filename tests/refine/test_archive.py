import io
import zipfile

import pytest

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.core.values import Item
from intelforge.refine import archive
from intelforge.refine.archive import open_archive
from intelforge.refine.document import refine
from intelforge.refine.tokens import estimate
from intelforge.testing.files import build_docx, build_epub, build_pptx, build_xlsx

LAUGHS = '<!DOCTYPE x [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


def zipped(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in parts.items():
            target.writestr(name, content)
    return buffer.getvalue()


def test_what_unpacks_to_far_more_than_it_is_is_refused_before_unpacking() -> None:
    with pytest.raises(ItemError, match="would unpack to") as caught:
        open_archive(zipped({"a.xml": b"\0" * 40_000_000}))
    assert caught.value.error_code is ErrorCode.TOO_LARGE


def test_too_many_parts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 2)
    with pytest.raises(ItemError, match="3 parts"):
        open_archive(zipped({"a": b"", "b": b"", "c": b""}))


def test_an_encrypted_part_is_named_as_such() -> None:
    data = bytearray(zipped({"a": b"words"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ItemError) as caught:
        open_archive(bytes(data))
    assert caught.value.error_code is ErrorCode.ENCRYPTED


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [
        ("a.docx", build_docx(["words"]), "word/document.xml"),
        ("a.pptx", build_pptx(["words"]), "ppt/slides/slide1.xml"),
        ("a.xlsx", build_xlsx(["words"]), "xl/worksheets/sheet1.xml"),
        ("a.epub", build_epub(["words"]), "OEBPS/book.opf"),
        ("a.epub", build_epub(["words"]), "OEBPS/chapter0.xhtml"),
    ],
)
def test_entities_are_never_expanded(name: str, data: bytes, part: str) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        parts = {each: source.read(each) for each in source.namelist()}
    xml = parts[part].decode()
    declaration, _, body = xml.partition("?>") if xml.startswith("<?xml") else ("", "", xml)
    prolog = f"{declaration}?>" if declaration else ""
    parts[part] = (prolog + LAUGHS + "]>" + body.replace("words", "&a9;").replace("Book", "&a9;")).encode()
    try:
        document = refine(Item(uri=name, data=zipped(parts)), count=estimate, max_tokens=100)
    except ItemError:
        return
    assert len(document.text) < 10_000

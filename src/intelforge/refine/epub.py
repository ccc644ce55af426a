"""EPUB: the chapters in the order of the book's spine."""

import posixpath
import zipfile
from typing import Any
from urllib.parse import unquote

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine.archive import open_archive
from intelforge.refine.html import parse_html, write_tree
from intelforge.refine.protocol import Extracted
from intelforge.refine.text import decode
from intelforge.refine.writer import Writer

_CONTAINER = "META-INF/container.xml"
_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_PAGES = ("application/xhtml+xml", "text/html")


def extract_epub(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when it is damaged, protected or holds no text."""
    with open_archive(data) as archive:
        if "META-INF/rights.xml" in archive.namelist():
            raise ItemError("the book is copy-protected", hint="nothing to do", code=ErrorCode.ENCRYPTED)
        container = _parsed(archive, _CONTAINER)
        root_file = container.find(".//{*}rootfile")
        path = root_file.get("full-path", "") if root_file is not None else ""
        package = _parsed(archive, path)
        writer = Writer()
        missing = sum(not _write_chapter(archive, name, writer) for name in _chapters(package, path))
    details = {name: package.findtext(f".//{_DC}{name}") or "" for name in ("title", "creator", "date", "description")}
    note = f"{missing} chapters could not be read" if missing else ""
    return writer.finish(
        media_type=media_type,
        title=details["title"],
        metadata={
            "author": details["creator"],
            "date": details["date"],
            "description": details["description"],
            "note": note,
        },
    )


def _parsed(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return fromstring(archive.read(name))
    except (KeyError, ParseError, DefusedXmlException, zipfile.BadZipFile, EOFError, ValueError, OSError) as error:
        raise ItemError(f"the book is damaged ({name or 'no package'}: {error})", hint="fetch it again") from error


def _chapters(package: Any, path: str) -> list[str]:
    """Names in the archive, in reading order."""
    pages = {
        item.get("id"): item.get("href", "") for item in package.iter(f"{_OPF}item") if item.get("media-type") in _PAGES
    }
    spine = [reference.get("idref") for reference in package.iter(f"{_OPF}itemref")]
    folder = posixpath.dirname(path)
    return [posixpath.normpath(posixpath.join(folder, unquote(pages[each]))) for each in spine if each in pages]


def _write_chapter(archive: zipfile.ZipFile, name: str, writer: Writer) -> bool:
    try:
        root = parse_html(decode(archive.read(name)).text)
    except (ItemError, KeyError, zipfile.BadZipFile, EOFError, OSError, ValueError):
        return False
    write_tree(root, writer)
    return True

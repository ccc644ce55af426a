"""XLSX by openpyxl: every row as `name: value` pairs by the names in its sheet's first row."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from intelforge.core.errors import ItemError
from intelforge.refine.archive import open_archive
from intelforge.refine.protocol import Extracted
from intelforge.refine.writer import Writer

MAX_ROWS = 100_000
"""rows taken of a workbook; the metadata say when there were more"""
MAX_COLUMNS = 500


def extract_xlsx(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when it is damaged, encrypted or holds no text."""
    open_archive(data).close()
    import openpyxl  # type: ignore[import-untyped]
    from openpyxl.utils.exceptions import InvalidFileException  # type: ignore[import-untyped]

    try:
        workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise ItemError(f"the workbook is damaged ({error})", hint="open it in Excel and save it again") from error
    writer, rows, cut = Writer(), 0, False
    for sheet in workbook.worksheets:
        written, whole = _write_sheet(sheet, writer, MAX_ROWS - rows)
        rows += written
        cut = cut or not whole
    details = workbook.properties
    metadata = {"author": details.creator or "", "sheets": str(len(workbook.worksheets)), "rows": str(rows)}
    if cut:
        metadata["note"] = f"only the first {rows} rows are taken"
    workbook.close()
    return writer.finish(media_type=media_type, title=details.title or "", metadata=metadata)


def _write_sheet(sheet: Any, writer: Writer, most: int) -> tuple[int, bool]:
    """The number of rows written, and whether these were all."""
    writer.open_heading(sheet.title, 1)
    names: Sequence[str] | None = None
    written = 0
    sheet.reset_dimensions()
    for row in sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS):
        values = [_shown(value) for value in row]
        if not any(values):
            continue
        if written >= most:
            return written, False
        if names is None and _is_header(row):
            names = values
            writer.write(" | ".join(value for value in values if value), "table_row")
        else:
            writer.write("; ".join(_pairs(names or (), values)), "table_row")
        written += 1
    return written, True


def _is_header(row: Iterable[Any]) -> bool:
    """Names are texts, and every one is different."""
    values = [value for value in row if value is not None]
    return len(values) > 1 and all(isinstance(value, str) for value in values) and len(set(values)) == len(values)


def _pairs(names: Sequence[str], values: Sequence[str]) -> Iterable[str]:
    for column, value in enumerate(values):
        if value:
            name = names[column] if column < len(names) else ""
            yield f"{name}: {value}" if name else value


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time() == datetime.min.time():
        value = value.date()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return " ".join(str(value).split())

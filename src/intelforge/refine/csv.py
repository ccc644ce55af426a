"""CSV and TSV: the text is the source, every record a block, and the column names its heading."""

import csv
from collections.abc import Iterator
from itertools import accumulate

from intelforge.refine.media import TSV
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.text import decode

SAMPLE = 8 * 1024
MAX_HEADING = 200
"""characters"""


def extract_csv(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when the item is empty."""
    decoded = decode(data, declared=charset)
    dialect = _dialect(decoded.text[:SAMPLE], media_type)
    rows = list(_rows(decoded.text, dialect))
    heading = _heading(rows[0][2]) if len(rows) > 1 else ""
    blocks = tuple(Block(start=start, end=end, kind="table_row", heading=heading) for start, end, _ in rows)
    return Extracted(text=decoded.text, blocks=blocks, media_type=media_type, metadata=decoded.metadata)


def _dialect(sample: str, media_type: str) -> type[csv.Dialect] | csv.Dialect:
    if media_type == TSV:
        return csv.excel_tab
    try:
        return csv.Sniffer().sniff(sample.rpartition("\n")[0] or sample, delimiters=",;\t|")
    except csv.Error:
        return csv.excel


def _rows(text: str, dialect: type[csv.Dialect] | csv.Dialect) -> Iterator[tuple[int, int, list[str]]]:
    """Start, end and fields of each record; a record with quoted line breaks spans lines. What is broken is one row."""
    lines = [f"{line}\n" for line in text.split("\n")]
    starts = [0, *accumulate(map(len, lines))]
    reader = csv.reader(lines, dialect)
    first = 0
    while True:
        try:
            fields = next(reader, None)
        except csv.Error:
            fields = []
        last = reader.line_num
        if fields is None or last == first:
            return
        start, end = starts[first], min(starts[last], len(text))
        if text[start:end].strip():
            yield start, end, fields
        first = last


def _heading(names: list[str]) -> str:
    """The column names, when the first record looks like names: all different, none a number."""
    plain = [" ".join(name.split()) for name in names]
    if len(set(plain)) != len(plain) or any(not name or name.replace(".", "").isdigit() for name in plain):
        return ""
    return ", ".join(plain).replace(" > ", " / ")[:MAX_HEADING]

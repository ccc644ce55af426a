"""Jupyter notebooks: the Markdown and code cells, in order, under the headings of the Markdown."""

import json
from typing import Any

from intelforge.core.errors import ItemError
from intelforge.refine.markdown import structure
from intelforge.refine.protocol import Extracted
from intelforge.refine.text import clean, decode
from intelforge.refine.writer import Writer


def extract_notebook(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Outputs are left out. Raises ItemError when it is damaged or holds no text."""
    try:
        notebook = json.loads(decode(data, declared=charset).text)
        cells = notebook.get("cells") or [
            cell for sheet in notebook.get("worksheets", ()) for cell in sheet.get("cells", ())
        ]
        details = notebook.get("metadata") or {}
        kernel = (details.get("kernelspec") or {}).get("display_name", "")
        writer = Writer()
        for cell in cells:
            _write_cell(cell, writer)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ItemError(f"the notebook is damaged ({error})", hint="open it in Jupyter and save it again") from error
    return writer.finish(
        media_type=media_type, title=writer.first_heading, metadata={"kernel": str(kernel), "cells": str(len(cells))}
    )


def _write_cell(cell: dict[str, Any], writer: Writer) -> None:
    source = cell.get("source", cell.get("input", ""))
    text = clean(source if isinstance(source, str) else "".join(source))
    if cell.get("cell_type") != "markdown":
        writer.write(text, "code")
        return
    for block in structure(text)[0]:
        part = text[block.start : block.end]
        if block.kind == "heading":
            level = len(part) - len(part.lstrip("#")) or 1
            writer.open_heading(block.heading.rpartition(" > ")[2], level)
        writer.write(part, block.kind)

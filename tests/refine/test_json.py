import pytest

from intelforge.core.errors import ItemError
from intelforge.refine.json import extract_json
from intelforge.refine.notebook import extract_notebook
from intelforge.refine.protocol import Extracted


def parts(extracted: Extracted) -> list[tuple[str, str]]:
    return [(block.heading, extracted.text[block.start : block.end]) for block in extracted.blocks]


def test_members_are_blocks_under_their_keys() -> None:
    extracted = extract_json(b'{"a": {"b": [1]},\n "c > d": "x"}', media_type="application/json")
    assert parts(extracted) == [("a", '"a": {"b": [1]}'), ("c / d", '"c > d": "x"')]


def test_elements_of_a_list_are_blocks() -> None:
    assert parts(extract_json(b'[{"a": 1}, 2]', media_type="application/json")) == [("", '{"a": 1}'), ("", "2")]


@pytest.mark.parametrize("text", ["{broken", '{"a" 1}', "[1 2]", "17", "[" * 100_000])
def test_what_is_not_valid_is_taken_as_text(text: str) -> None:
    assert parts(extract_json(text.encode(), media_type="application/json")) == [("", text)]


def test_lines_are_records() -> None:
    assert parts(extract_json(b'{"a": 1}\n\n{"b": 2}\n', media_type="application/x-ndjson")) == [
        ("", '{"a": 1}'),
        ("", '{"b": 2}'),
    ]


def test_cells_of_a_notebook_stand_under_the_headings_of_its_text() -> None:
    notebook = b"""{"cells": [{"cell_type": "markdown", "source": "# Load\\n\\nWords\\n\\n## Deep"},
        {"cell_type": "code", "source": ["x = 1\\n", "y = 2"], "outputs": [{"text": "no"}]}],
        "metadata": {"kernelspec": {"display_name": "Python 3"}}}"""
    extracted = extract_notebook(notebook, media_type="application/x-ipynb+json")
    assert parts(extracted) == [
        ("Load", "# Load"),
        ("Load", "Words"),
        ("Load > Deep", "## Deep"),
        ("Load > Deep", "x = 1\ny = 2"),
    ]
    assert extracted.title == "Load"
    assert extracted.metadata == {"kernel": "Python 3", "cells": "2"}


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"cells": [1]}', b'{"cells": 7}'])
def test_a_damaged_notebook_is_refused(data: bytes) -> None:
    with pytest.raises(ItemError, match="damaged"):
        extract_notebook(data, media_type="application/x-ipynb+json")

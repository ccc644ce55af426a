"""Indices of the two tables: of terms, and of what filters ask for."""

from typing import TYPE_CHECKING

from intelforge.index.analysis import LONGEST_TERM, STOP_WORDS

if TYPE_CHECKING:
    from lancedb.table import AsyncTable

INDEXED = (("labels", "LabelList"), ("document_id", "BTree"))
"""columns with an index of their own; the numbers are read by a scan, which is quick and seldom asked for"""


async def index_terms(table: "AsyncTable") -> None:
    """The BM25 index, made while the table is empty so that its analysis also holds for rows not yet in it."""
    from lancedb.index import FTS

    if any("terms" in index.columns for index in await table.list_indices()):
        return
    config = FTS(
        base_tokenizer="whitespace",
        custom_stop_words=sorted(STOP_WORDS),
        max_token_length=LONGEST_TERM,
    )
    await table.create_index("terms", config=config)


async def index_scalars(table: "AsyncTable") -> None:
    """Indices of what filters ask for, so that a filter costs no scan."""
    from lancedb import index

    there = {column for entry in await table.list_indices() for column in entry.columns}
    for column, kind in INDEXED:
        if column not in there:
            await table.create_index(column, config=getattr(index, kind)())

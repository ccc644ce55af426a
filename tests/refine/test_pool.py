from collections.abc import AsyncIterator

import pytest

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.core.values import Document, Item
from intelforge.refine.pool import Refinery

GOOD = Item(uri="good.md", data=b"# Title\n\nSome words.\n")


@pytest.fixture
async def refinery() -> AsyncIterator[Refinery]:
    async with Refinery(workers=2, seconds=30, memory_mb=512, tokenizer=None, chunk_tokens=100) as opened:
        yield opened


async def test_a_document_comes_back_whole(refinery: Refinery) -> None:
    document = await refinery.refine(GOOD)
    assert (document.title, document.media_type) == ("Title", "text/markdown")
    assert [document.text[chunk.start : chunk.end] for chunk in document.chunks] == ["# Title\n\nSome words."]
    assert [chunk.text for chunk in document.chunks] == ["# Title\n\nSome words."]


async def test_outcomes_are_in_the_order_of_the_items(refinery: Refinery) -> None:
    items = [Item(uri=f"{n}.txt", data=b"" if n % 7 == 3 else f"text {n}".encode()) for n in range(50)]
    outcomes = await refinery.refine_many(items)
    for n, outcome in enumerate(outcomes):
        if n % 7 == 3:
            assert isinstance(outcome, ItemError)
            assert outcome.error_code is ErrorCode.UNSUPPORTED
            assert f"{n}.txt" in str(outcome)
        else:
            assert isinstance(outcome, Document)
            assert outcome.text == f"text {n}"

from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.values import Chunk
from intelforge.refine.chunk import chunk
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.tokens import estimate

TEXTS = st.text(
    st.sampled_from("abcdefgh  \n\n.,;:()é漢字。!?\t\u3000") | st.characters(codec="utf-8", exclude_characters="\x00"),
    max_size=3000,
)


@st.composite
def extracted(draw: st.DrawFn) -> Extracted:
    """A text with blocks anywhere in it, with gaps, blank ones and headings of any depth."""
    text = draw(TEXTS)
    language = draw(st.sampled_from(["", "python"]))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=20)))
    kinds = st.sampled_from(["heading", "paragraph", "list", "table_row", "code", "definition"])
    separator = "." if language else " > "
    paths = st.lists(st.sampled_from(["A", "B", "Long name of a part " * 9]), max_size=4).map(separator.join)
    blocks = tuple(
        Block(start=start, end=end, kind=draw(kinds), heading=draw(paths))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
        if start < end
    )
    return Extracted(text=text, blocks=blocks, media_type="text/plain", language=language)


def assert_chunks_hold(text: str, chunks: tuple[Chunk, ...], *, max_tokens: int) -> None:
    """Spans are exact, in order, trimmed, within the bound, and cover all that is not whitespace exactly once."""
    position = 0
    for ordinal, each in enumerate(chunks):
        assert each.ordinal == ordinal
        assert each.start >= position
        assert not text[position : each.start].strip()
        assert text[each.start : each.end] == each.text == each.text.strip() != ""
        assert each.tokens == estimate(each.text)
        assert estimate(each.embedding_text) <= max_tokens or len(each.text) == 1
        position = each.end
    assert not text[position:].strip()


@given(extracted(), st.integers(8, 120))
def test_chunks_cover_the_text_exactly_once(source: Extracted, max_tokens: int) -> None:
    chunks = chunk(source, document_id="d", max_tokens=max_tokens, count=estimate)
    assert_chunks_hold(source.text, chunks, max_tokens=max_tokens)

from hypothesis import given, settings
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
@settings(deadline=None)
def test_chunks_cover_the_text_exactly_once(source: Extracted, max_tokens: int) -> None:
    chunks = chunk(source, document_id="d", max_tokens=max_tokens, count=estimate)
    assert_chunks_hold(source.text, chunks, max_tokens=max_tokens)


def chunked(text: str, *blocks: Block, max_tokens: int = 40, language: str = "") -> list[Chunk]:
    source = Extracted(text=text, blocks=blocks, media_type="text/plain", language=language)
    chunks = chunk(source, document_id="d", max_tokens=max_tokens, count=estimate)
    assert_chunks_hold(text, chunks, max_tokens=max_tokens)
    return list(chunks)


def laid_out(*parts: tuple[str, str, str]) -> tuple[str, list[Block]]:
    """A text and its blocks from (kind, heading, text)."""
    text, blocks = "", []
    for kind, heading, part in parts:
        blocks.append(Block(start=len(text), end=len(text) + len(part), kind=kind, heading=heading))
        text += part + "\n\n"
    return text, blocks


SENTENCES = "The first one is here. The second one follows it. The third one is the last of them. "


def test_a_section_that_fits_is_one_chunk_with_its_subsections() -> None:
    text, blocks = laid_out(("heading", "A", "A"), ("paragraph", "A", "Short."), ("heading", "A > B", "B"))
    assert [(each.text, each.heading) for each in chunked(text, *blocks)] == [("A\n\nShort.\n\nB", "A")]


def test_sections_that_do_not_fit_together_are_apart() -> None:
    text, blocks = laid_out(("paragraph", "A > B", SENTENCES), ("paragraph", "A > C", SENTENCES))
    assert [each.heading for each in chunked(text, *blocks)] == ["A > B", "A > C"]


def test_a_heading_stays_with_what_it_introduces() -> None:
    text, blocks = laid_out(
        ("paragraph", "A", SENTENCES), ("heading", "B", "The heading"), ("paragraph", "B", SENTENCES * 2)
    )
    assert any(each.text.startswith("The heading\n\nThe first") for each in chunked(text, *blocks))


def test_long_prose_is_cut_after_sentences() -> None:
    for each in chunked(SENTENCES * 10):
        assert each.text.endswith(".")


def test_rows_are_never_cut_in_the_middle() -> None:
    rows = [f"row {n} | with some | cells in it" for n in range(30)]
    text, blocks = laid_out(*(("table_row", "Names of columns", row) for row in rows))
    chunks = chunked(text, *blocks)
    assert len(chunks) > 3
    assert [row for each in chunks for row in each.text.split("\n\n")] == rows
    assert {each.kind for each in chunks} == {"table"}


def test_small_pieces_take_the_heading_of_the_large_piece_they_join() -> None:
    text, blocks = laid_out(
        ("definition", "Task.run", "x = 1; " * 7),
        ("definition", "Task", "y"),
        ("definition", "Task.stop", "z = 2; " * 7),
    )
    found = chunked(text, *blocks, language="python")
    assert [(each.heading, each.text.count("y")) for each in found] == [("Task.run", 1), ("Task.stop", 0)]


def test_what_fits_together_takes_the_heading_it_shares() -> None:
    text, blocks = laid_out(("definition", "Task.run", "x = 1"), ("definition", "Task.stop", "z = 2"))
    assert [each.heading for each in chunked(text, *blocks, language="python")] == ["Task"]


def test_a_heading_too_long_for_its_chunks_keeps_its_innermost_part() -> None:
    text, blocks = laid_out(("paragraph", "Very long outer part " * 9 + "> Inner", SENTENCES))
    assert {each.heading for each in chunked(text, *blocks)} == {"Inner"}


def test_a_word_without_end_is_cut_between_characters() -> None:
    chunks = chunked("x" * 5000 + " end")
    assert len(chunks) > 3


def test_a_long_line_is_cut_between_words() -> None:
    text = "word " * 5000
    assert all(each.text.replace("word", "").strip() == "" for each in chunked(text))


def test_nothing_gives_no_chunks() -> None:
    assert chunked(" \n ") == []


def test_the_work_grows_with_the_text_and_not_faster() -> None:
    def characters_counted(whole: str) -> int:
        seen = 0

        def count(text: str) -> int:
            nonlocal seen
            seen += len(text)
            return estimate(text)

        chunk(Extracted(text=whole, blocks=(), media_type="text/plain"), document_id="d", max_tokens=40, count=count)
        return seen

    for unit in ("word ", "x", "Sentence one. ", "line\n", "漢字"):
        small, large = characters_counted(unit * 2000), characters_counted(unit * 16000)
        assert large < 12 * small

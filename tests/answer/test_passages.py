"""Hits become passages with exact spans."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.answer.passages import MAX_PASSAGE, WIDEN, line_range, make_passages, read_documents
from intelforge.core.values import Chunk, Hit
from intelforge.testing.library import MemoryLibrary


def hit(text: str, start: int, end: int, *, score: float = 1.0, document_id: str = "d", heading: str = "") -> Hit:
    chunk = Chunk(
        id=f"{document_id}:{start}",
        document_id=document_id,
        ordinal=0,
        start=start,
        end=end,
        text=text[start:end],
        heading=heading,
    )
    return Hit(chunk=chunk, score=score, uri=f"{document_id}.md", location=f"/docs/{document_id}.md", title="T")


def test_a_hit_grows_to_its_paragraph() -> None:
    text = "Before.\n\nThe paragraph begins here\nand goes on here\nand ends here.\n\nAfter."
    start = text.index("goes on")
    (passage,) = make_passages([hit(text, start, start + 7)], {"d": text}, limit=5)
    assert passage.text == "The paragraph begins here\nand goes on here\nand ends here."
    assert (passage.first_line, passage.last_line) == (3, 5)
    assert (passage.number, passage.location, passage.title) == (1, "/docs/d.md", "T")


def test_a_hit_in_a_long_paragraph_grows_to_line_ends() -> None:
    text = "x" * WIDEN + "\nhalf a line and the rest\n" + "y" * WIDEN
    start = text.index("a line")
    (passage,) = make_passages([hit(text, start, start + 6)], {"d": text}, limit=5)
    assert passage.text == "half a line and the rest"


def test_a_hit_in_one_endless_line_stays_as_it_is() -> None:
    text = "x" * 5000
    (passage,) = make_passages([hit(text, 2000, 2010)], {"d": text}, limit=5)
    assert (passage.start, passage.end) == (2000, 2010)


def test_indentation_of_the_first_line_is_kept() -> None:
    text = "a = 1\n\n    def f():\n        return 1\n"
    start = text.index("return")
    (passage,) = make_passages([hit(text, start, start + 8)], {"d": text}, limit=5)
    assert passage.text == "    def f():\n        return 1"


def test_overlapping_and_touching_hits_of_one_document_are_one_passage_with_the_best_hit_of_them() -> None:
    text = "One two three.\nFour five six.\n\nSeven."
    hits = [
        hit(text, 15, 29, score=3, heading="best"),
        hit(text, 0, 20, score=2, heading="next"),
        hit(text, 31, 37, score=1),
    ]
    (passage,) = make_passages(hits, {"d": text}, limit=5)
    assert passage.text == text
    assert (passage.heading, passage.score) == ("best", 3)


def test_hits_that_would_make_too_long_a_passage_stay_apart_without_overlapping() -> None:
    lines = [f"line {number} " + "z" * 90 for number in range(100)]
    text = "\n".join(lines)
    hits = [hit(text, at, at + 900) for at in range(0, 9000, 800)]
    passages = sorted(make_passages(hits, {"d": text}, limit=50), key=lambda passage: passage.start)
    assert len(passages) > 1
    assert all(len(passage.text) <= MAX_PASSAGE for passage in passages)
    assert all(one.end <= other.start for one, other in pairwise(passages))


def test_passages_are_numbered_by_the_rank_of_their_best_hit_and_limited() -> None:
    texts = {name: f"Words of {name}." for name in "abc"}
    hits = [hit(texts[name], 0, 5, document_id=name) for name in "cab"]
    passages = make_passages(hits, texts, limit=2)
    assert [(passage.number, passage.document_id) for passage in passages] == [(1, "c"), (2, "a")]


def test_a_hit_that_is_not_in_its_document_any_more_is_left_out() -> None:
    stale = hit("Old words here.", 4, 9)
    assert make_passages([stale], {"d": "New text."}, limit=5) == ()
    blank = hit("   ", 0, 3)
    assert make_passages([blank], {"d": "   "}, limit=5) == ()


def test_a_hit_without_a_location_is_named_by_its_uri() -> None:
    found = Hit(chunk=hit("Some words.", 0, 11).chunk, score=1.0, uri="lib/a.md")
    assert make_passages([found], {"d": "Some words."}, limit=1)[0].location == "lib/a.md"


async def test_each_document_is_read_once() -> None:
    library = MemoryLibrary({"a": "First words.\n\nMore words.", "b": "Other words."})
    texts = await read_documents((await library.search("words", limit=9)).hits, library)
    assert texts == dict(library.documents)


async def test_a_document_that_went_away_since_the_search_is_left_out() -> None:
    before = MemoryLibrary({"a": "First words.", "b": "Other words."})
    after = MemoryLibrary({"b": "Other words."})
    hits = (await before.search("words", limit=9)).hits
    texts = await read_documents(hits, after)
    assert [passage.document_id for passage in make_passages(hits, texts, limit=9)] == ["b"]


@pytest.mark.parametrize(("start", "end", "lines"), [(0, 1, (1, 1)), (0, 2, (1, 1)), (0, 3, (1, 2)), (2, 2, (2, 2))])
def test_lines_are_counted_from_one_and_a_line_end_belongs_to_its_line(
    start: int, end: int, lines: tuple[int, int]
) -> None:
    assert line_range("a\nb\nc", start, end) == lines


@settings(deadline=None)
@given(st.text(alphabet="ab \n", max_size=200), st.data())
def test_passages_are_exact_do_not_overlap_and_keep_every_word_that_was_hit(text: str, data: st.DataObject) -> None:
    places = st.integers(0, max(0, len(text) - 1))
    spans = [sorted(pair) for pair in data.draw(st.lists(st.tuples(places, places), max_size=6))]
    hits = [hit(text, start, end) for start, end in spans if start < end]
    passages = make_passages(hits, {"d": text}, limit=20)
    covered: set[int] = set()
    for passage in passages:
        assert text[passage.start : passage.end] == passage.text
        assert (passage.first_line, passage.last_line) == (
            text.count("\n", 0, passage.start) + 1,
            text.count("\n", 0, passage.end - 1) + 1,
        )
        assert covered.isdisjoint(range(passage.start, passage.end))
        covered |= set(range(passage.start, passage.end))
    for each in hits:
        words = (at for at in range(each.chunk.start, each.chunk.end) if not text[at].isspace())
        assert covered.issuperset(words)


def code_hit(text: str, words: str) -> Hit:
    start = text.index(words)
    chunk = Chunk(id="d:0", document_id="d", ordinal=0, start=start, end=start + len(words), text=words, kind="code")
    return Hit(chunk=chunk, score=1.0, location="a.py")


MODULE = '''\
class Port:
    """A way out."""

    def open(self, host):
        """Opens the port."""
        if host:

            return connect(host)


    @cached
    def close(self):
        return None
'''


def test_a_hit_in_the_body_of_a_definition_takes_in_its_head() -> None:
    (passage,) = make_passages([code_hit(MODULE, "            return connect(host)")], {"d": MODULE}, limit=1)
    assert passage.text == MODULE[MODULE.index("    def open") : MODULE.index("\n\n\n    @cached")]


@pytest.mark.parametrize("words", ["    @cached\n    def close", "class Port:"])
def test_a_hit_that_begins_a_definition_takes_in_nothing_before_it(words: str) -> None:
    (passage,) = make_passages([code_hit(MODULE, words)], {"d": MODULE}, limit=1)
    assert passage.text.startswith(words)

"""What a reader sees of a search."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from intelforge.core.search import SearchPlan, SearchResult
from intelforge.core.values import PartScore
from intelforge.interfaces.cli.render_search import _marked, around, render_search
from intelforge.testing.workspace import make_hit

HERE = Path("/data")


def text_of(renderable: RenderableType, *, width: int = 100, color: bool = False) -> str:
    system = "standard" if color else None
    console = Console(width=width, markup=False, highlight=False, force_terminal=color, color_system=system)  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(renderable, crop=False)
    return capture.get()


def shown(result: SearchResult, **options: bool) -> list[str]:
    return [line.rstrip() for line in text_of(render_search(result, HERE), **options).splitlines()]


def test_hit_shows_rank_place_score_heading_and_marked_words() -> None:
    hit = replace(make_hit(), duplicates=tuple(f"/data/copy{n}.md" for n in range(5)))
    assert shown(SearchResult(hits=(hit,))) == [
        " 1. docs/guide.md:3-3  0.500",
        "    Guide",
        "    A timeout cancels the task.",
        "    also in copy0.md, copy1.md, copy2.md and 2 more",
        "",
    ]
    colored = "\n".join(shown(SearchResult(hits=(hit,)), color=True))
    assert "\x1b[1;33mtimeout\x1b[0m" in colored
    assert "\x1b[1;33mtask\x1b[0m" in colored
    assert "\x1b[1;33mcancels\x1b[0m" not in colored


def test_nothing_found_and_no_more() -> None:
    assert shown(SearchResult()) == ["Nothing found."]
    assert shown(SearchResult(offset=10)) == ["No more hits."]


def test_notes_come_first_facets_and_the_next_page_last() -> None:
    facets = {"lang": {"en": 3, "de": 1}, "kind": {f"k{n}": 1 for n in range(10)}}
    lines = shown(SearchResult(hits=(make_hit(),), notes=("by words alone",), facets=facets, cursor="AbC", offset=10))
    assert lines[:2] == ["Note: by words alone", "11. docs/guide.md:3-3  0.500"]
    assert lines[-3:] == [
        "lang:   en 3, de 1",
        "kind:   k0 1, k1 1, k2 1, k3 1, k4 1, k5 1, k6 1, k7 1 and 2 more",
        "More: the same command with --cursor AbC",
    ]


def test_an_explanation_tells_the_plan_and_what_each_part_gave() -> None:
    parts = (
        PartScore(part="lexical", score=12.31, scaled=0.5, weight=0.2),
        PartScore(part="vector", score=None, scaled=0.0, weight=0.8),
    )
    plan = SearchPlan(
        query="cancel a task",
        where="principal:*",
        store="lancedb:index",
        candidates={"lexical": 1, "vector": 100},
        vector_weight=0.8,
        weighed="a question",
        embedded=1.0,
    )
    hit = replace(make_hit(), explanation=parts)
    lines = shown(SearchResult(hits=(hit,), plan=plan, seconds={"words": 0.01, "meaning": 0.02}))
    assert lines[:6] == [
        "Searched for  cancel a task",
        "Within        principal:*",
        "In            lancedb:index",
        "Candidates    1 chunk by words, 100 chunks by meaning",
        "Weights       0.80 meaning, 0.20 words: a question",
        "Time          words 0.01 s, meaning 0.02 s",
    ]
    assert "    words                12.310  scaled 0.50 × 0.20 = 0.100" in lines
    assert "    meaning           not found  scaled 0.00 × 0.80 = 0.000" in lines


@pytest.mark.parametrize("width", [40, 80, 120])
def test_place_is_never_broken_so_that_it_can_be_clicked(width: int) -> None:
    location = "/srv/" + "a-long-folder/" * 12 + "file.md"
    result = SearchResult(hits=(make_hit(location=location),))
    assert f"{location}:3-3" in text_of(render_search(result, HERE), width=width)


def test_snippet_begins_beside_the_line_with_most_matches() -> None:
    lines = [f"line {n}" for n in range(50)]
    text = "\n".join([*lines[:30], "the Timeout cancels", *lines[30:]])
    start = text.index("Timeout")
    snippet = around(text, [(0, 4), (start, start + 7), (start + 8, start + 15)])
    assert _marked(snippet).plain.splitlines()[:2] == ["line 29", "the Timeout cancels"]
    assert around("", []) == ""


@given(st.text(st.characters(categories=("L", "N", "P", "Z"))), st.lists(st.integers(0, 20), max_size=6))
def test_marks_leave_a_text_as_it_is(text: str, bounds: list[int]) -> None:
    points = sorted({min(bound, len(text)) for bound in bounds})
    spans = list(zip(points[::2], points[1::2], strict=False))
    assert _marked(around(text, spans)).plain in "\n".join(text.splitlines())


@pytest.mark.parametrize("evil", ["\ufdd0", "\ufdd1", "a\ufdd1b\ufdd0c"])
def test_a_text_that_holds_the_marks_itself_is_shown_without(evil: str) -> None:
    assert _marked(around(f"x{evil}y", [(0, 1)])).plain == "x" + "".join(filter(str.isalpha, evil)) + "y"

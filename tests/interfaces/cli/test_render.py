"""What a reader sees of answers, hits and documents."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from intelforge.core.reports import Shown
from intelforge.core.search import SearchResult
from intelforge.core.values import Verdict
from intelforge.interfaces.cli.render import QUOTE_LINES, excerpt, render_answer, render_shown
from intelforge.interfaces.cli.render_search import render_search
from intelforge.testing.workspace import DOCUMENT, make_answer, make_hit

HERE = Path("/data")


def text_of(renderable: RenderableType, *, width: int = 80, color: bool = False) -> str:
    console = Console(width=width, markup=False, highlight=False, emoji=False, force_terminal=color, color_system=None)
    if color:
        console = Console(width=width, markup=False, highlight=False, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(renderable, crop=False)
    return capture.get()


def test_answer_shows_sentences_then_places_with_quotes_then_notes_and_times() -> None:
    assert text_of(render_answer(make_answer(), HERE)).splitlines() == [
        "A timeout cancels the task.\u00a0[1]",
        "",
        "[1] docs/guide.md:3-3",
        "    A timeout cancels the task.",
        "",
        "Note: 4 of 10 chunks are embedded; answers get better as the rest follows",
        "0.03 s (search 0.02 s, answer 0.01 s) · extractive",
    ]


def test_same_citation_is_listed_once_and_two_spans_of_one_passage_both() -> None:
    answer = make_answer()
    sentence = answer.sentences[0]
    first = sentence.citations[0]
    second = replace(first, start=first.start + 2, quote="timeout cancels the task.")
    cited = (sentence, replace(sentence, citations=(first, second)))
    shown = text_of(render_answer(replace(answer, sentences=cited), HERE))
    assert shown.count("[1] docs/guide.md:3-3") == shown.count("[2] docs/guide.md:3-3") == 1
    assert shown.splitlines()[0].replace("\u00a0", " ") == (
        "A timeout cancels the task. [1] A timeout cancels the task. [1] [2]"
    )


@pytest.mark.parametrize(
    ("verdict", "words"), [(Verdict.PARTLY, "(partly supported)"), (Verdict.UNSUPPORTED, "(unsupported)")]
)
def test_doubtful_sentence_says_so(verdict: Verdict, words: str) -> None:
    answer = make_answer()
    doubtful = replace(answer, sentences=(replace(answer.sentences[0], verdict=verdict),))
    assert words in text_of(render_answer(doubtful, HERE))


def test_without_evidence_the_nearest_passages_are_shown() -> None:
    shown = text_of(render_answer(replace(make_answer(), sentences=()), HERE))
    assert shown.startswith("No evidence found.\nThe nearest passages:\n")
    assert "[1] docs/guide.md:3-3" in shown


def test_without_any_passage_only_that_is_said() -> None:
    shown = text_of(render_answer(replace(make_answer(), sentences=(), passages=(), notes=()), HERE))
    assert shown.startswith("No evidence found.\n")
    assert "nearest" not in shown


def test_answer_of_a_paid_model_shows_its_cost() -> None:
    shown = text_of(render_answer(replace(make_answer(), model="openai:small", cost_usd=0.0123), HERE))
    assert shown.rstrip().endswith("openai:small · $0.0123")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_place_is_never_broken_so_that_it_can_be_clicked(width: int) -> None:
    location = "/srv/" + "a-long-folder/" * 12 + "file.md"
    assert f"{location}:3-3" in text_of(render_answer(make_answer(location), HERE), width=width)


@pytest.mark.parametrize("evil", ["[bold red]x[/]", "\x1b]0;owned\x07", "\x1b[2J", "a\rb", ":smile: [/]"])
def test_text_of_documents_is_only_text(evil: str) -> None:
    hit = make_hit(evil, location=f"/data/{evil}.md")
    answer = make_answer(f"/data/{evil}")
    answer = replace(answer, sentences=(replace(answer.sentences[0], text=evil),), notes=(evil,), model=evil)
    document = replace(DOCUMENT, title=evil, text=evil)
    shown = Shown(document=document, locations=(evil,))
    for part in (
        render_search(SearchResult(hits=(hit,)), HERE),
        render_answer(answer, HERE),
        render_shown(shown, HERE),
    ):
        text = text_of(part)
        assert not {"\x1b", "\x07", "\r"} & set(text)
        if evil.startswith("["):
            assert evil in text


def test_document_is_shown_whole_below_where_it_is_from() -> None:
    text = "x" * 300
    shown = Shown(document=replace(DOCUMENT, text=text), locations=("/data/docs/guide.md",), versions=("a", "d0c"))
    assert text_of(render_shown(shown, HERE)).splitlines() == [
        "Guide",
        "docs/guide.md",
        "d0c · text/markdown · en · 300 characters · 2 versions",
        "",
        text,
    ]


def test_span_of_a_superseded_version_says_both() -> None:
    shown = text_of(render_shown(Shown(document=replace(DOCUMENT, title=""), locations=(), span=(2, 7)), HERE))
    assert shown.splitlines()[0] == "superseded or removed; kept for its citations"
    assert "span 2:7" in shown
    assert shown.endswith("\nGuide\n")


@given(st.text())
def test_excerpt_is_short_and_unindented(text: str) -> None:
    lines = excerpt(text).split("\n")
    assert len(lines) <= QUOTE_LINES + 1
    assert all(len(line) <= 400 for line in lines)


@pytest.mark.parametrize(
    ("quote", "shown"),
    [
        ("    def f():\r\n\t    return 1\r\n", "def f():\n    return 1"),
        ("def f():\n            if x:\n                return 1", "def f():\n    if x:\n        return 1"),
        ("When it times out,\n        it cancels\n        the task.", "When it times out,\nit cancels\nthe task."),
        ("    deep\n  less", "  deep\nless"),
        ("\n".join("abcdefgh"), "a\nb\nc\nd\ne\nf\n…"),
        ("x" * 500, "x" * 399 + "…"),
    ],
)
def test_excerpt_keeps_the_shape_of_what_is_quoted(quote: str, shown: str) -> None:
    assert excerpt(quote) == shown


def test_an_answer_says_why_its_model_was_chosen_and_how_to_rate_it() -> None:
    reason = "ollama:qwen3:8b: quality 0.61 ± 0.07, free, 3.0 s; the only candidate."
    answer = replace(make_answer(), call="0f9dce02b8ad28d0", decision={"reason": reason})
    shown = text_of(render_answer(answer, HERE), width=120)
    assert f"Chosen: {reason}" in shown
    assert "intelforge router rate 0f9dce02b8ad28d0 0.8" in shown
    assert "Chosen" not in text_of(render_answer(make_answer(), HERE))

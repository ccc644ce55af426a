from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.accounting import NOBODY
from intelforge.core.chat import Accounting
from intelforge.core.errors import InvalidInputError
from intelforge.core.search import SearchRequest, SearchResult
from intelforge.interfaces.cli.answering import parse_span
from intelforge.testing.terminal import Terminal


def test_search_passes_limit_and_source(terminal: Terminal) -> None:
    terminal.run("search", "timeout", "--limit", "3", "--source", "s1")
    assert terminal.workspace.calls == [("search", SearchRequest(query="timeout", limit=3, source="s1"))]


def test_search_passes_every_option(terminal: Terminal) -> None:
    terminal.run("search", "x", "--rerank", "--diverse", "--facets", "--explain", "--cursor", "AbC")
    wanted = SearchRequest(query="x", cursor="AbC", rerank=True, diverse=True, facets=True, explain=True)
    assert terminal.workspace.calls == [("search", wanted)]


def test_search_for_more_like_a_document_needs_no_words(terminal: Terminal) -> None:
    terminal.run("search", "--like", "docs/guide.md")
    assert terminal.workspace.calls == [("search", SearchRequest(like="docs/guide.md"))]


def test_search_as_json_has_all_of_the_result(terminal: Terminal) -> None:
    terminal.workspace.found = SearchResult(notes=("by words alone",), facets={"lang": {"en": 1}}, cursor="AbC")
    found = terminal.json("search", "timeout")
    assert (found["query"], found["notes"], found["facets"]) == ("timeout", ["by words alone"], {"lang": {"en": 1}})
    assert (found["cursor"], found["hits"][0]["highlights"]) == ("AbC", [[2, 9], [22, 26]])


def test_ask_as_json_has_the_text_and_whether_evidence_was_found(terminal: Terminal) -> None:
    assert terminal.json("ask", "why?", "--source", "s1")["text"] == "A timeout cancels the task."
    assert terminal.workspace.calls == [("ask", "why?", "s1")]
    terminal.workspace.answer = replace(terminal.workspace.answer, sentences=())
    assert terminal.json("ask", "why?")["found"] is False


def test_no_evidence_is_an_answer_not_an_error(terminal: Terminal) -> None:
    terminal.workspace.answer = replace(terminal.workspace.answer, sentences=())
    assert terminal.run("ask", "why?") == 0
    assert terminal.out.startswith("No evidence found.")


@pytest.mark.parametrize("command", ["ask", "search"])
def test_calls_of_models_are_for_whom_it_is_said(terminal: Terminal, command: str) -> None:
    assert terminal.run(command, "why?", "--user", " ann ", "--team", "sales", "--run", "r1") == 0
    assert terminal.run(command, "why?") == 0
    assert terminal.workspace.accounted == [Accounting(user="ann", team="sales", run="r1"), NOBODY]


def test_show_gives_the_characters_of_the_span(terminal: Terminal) -> None:
    assert terminal.json("show", "d0c", "--span", "9:36")["text"] == "A timeout cancels the task."
    assert terminal.workspace.calls == [("show", "d0c", (9, 36))]


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=0, max_value=10**9))
def test_span_is_two_ordered_numbers(one: int, other: int) -> None:
    assert parse_span(f"{min(one, other)}:{max(one, other)}") == (min(one, other), max(one, other))


@pytest.mark.parametrize("span", ["", "1", "1:", ":2", "a:b", "5:2", "-1:2", "1:2:3", "²:3", "1.0:2"])
def test_anything_else_is_refused(span: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a span"):
        parse_span(span)

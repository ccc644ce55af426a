from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import InvalidInputError
from intelforge.core.values import Attributes
from intelforge.index.protocol import EVERYTHING, Filter
from intelforge.index.query import Field, filter_of, joined, parse_query

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "text", "excluded", "fields"),
    [
        ("how to retry", "how to retry", (), ()),
        ('"exact words" -draft', '"exact words"', ("draft",), ()),
        ('retry -"not this"', "retry", ("not this",), ()),
        ("retry lang:Python path:src/**", "retry", (), (("lang", "Python", False), ("path", "src/**", False))),
        ('retry source:"my notes" -tag:old', "retry", (), (("source", "my notes", False), ("tag", "old", True))),
        ("std::move https://example.org/a?b=c key:value", "std::move https://example.org/a?b=c key:value", (), ()),
        ("tar --extract -5 error: x - y", "tar --extract -5 error: x - y", (), ()),
        ("C++ a-b asyncio.wait_for()", "C++ a-b asyncio.wait_for()", (), ()),
        ('open quote "here lang:go', 'open quote "here', (), (("lang", "go", False),)),
        ("x source:/home/me -PATH:/home/**", "x", (), (("source", "/home/me", False), ("path", "/home/**", True))),
        ("x source:https://example.org/a", "x", (), (("source", "https://example.org/a", False),)),
        ("path::Path std::path::Path", "path::Path std::path::Path", (), ()),
        ("", "", (), ()),
    ],
)
def test_a_query_is_taken_apart(
    query: str, text: str, excluded: tuple[str, ...], fields: tuple[tuple[str, str, bool], ...]
) -> None:
    parsed = parse_query(query)
    assert (parsed.text, parsed.excluded) == (text, excluded)
    assert parsed.fields == tuple(Field(name=name, value=value, negative=minus) for name, value, minus in fields)


@given(st.text(st.characters(codec="utf-8"), max_size=80) | st.text('ab :-"/.lang:', max_size=60))
def test_no_query_is_too_odd_and_no_word_is_lost(query: str) -> None:
    try:
        parsed = parse_query(query)
    except InvalidInputError:
        return
    kept = [parsed.text, *parsed.excluded, *(f"{field.name}{field.value}" for field in parsed.fields)]
    assert sorted(c.lower() for c in "".join(kept) if c.isalnum()) == sorted(c.lower() for c in query if c.isalnum())


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("x sorce:notes", "no field 'sorce'; write source:"),
        ("lang:python", "filters but no words"),
        ("x lang:", 'lang: has no value; write lang:python, or, to search for the word, "lang:"'),
        ('x -Source:"" y', "source: has no value; write source:notes"),
        ("x tag:,", "tag: has no value"),
        ("x since:9999y", "'9999y' is no date"),
        ("x since:yesterday", "'yesterday' is no date; write it as 2026-01-31"),
        ("x quality:high", "'high' is no quality"),
        ("x quality:2", "'2' is no quality"),
        ("x -since:7d", "-since: has no meaning"),
    ],
)
def test_what_makes_no_sense_is_named_with_the_way_to_write_it(query: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        filter_of(parse_query(query), now=NOW)
    assert words in str(caught.value)


def test_fields_of_one_name_are_alternatives_and_different_ones_must_all_hold() -> None:
    where = filter_of(parse_query("x lang:python language:GO type:text/plain -tag:Draft"), now=NOW)
    assert set(where.any_of) == {frozenset({"language:python", "language:go"}), frozenset({"type:text/plain"})}
    assert where.none_of == {"tag:draft"}


def test_labels_joined_by_commas_are_alternatives() -> None:
    where = filter_of(parse_query('x lang:python,Markdown, tag:"big draft,old" -type:a,b'), now=NOW)
    assert set(where.any_of) == {
        frozenset({"language:python", "language:markdown"}),
        frozenset({"tag:big draft", "tag:old"}),
    }
    assert where.none_of == {"type:a", "type:b"}


def test_dates_are_days_or_so_long_ago() -> None:
    where = filter_of(parse_query("x since:2026-03-01 since:7d until:2026-03-31T06:00 until:1h"), now=NOW)
    assert (where.since, where.until) == (NOW.timestamp() - 7 * 86400, NOW.timestamp() - 6 * 3600)


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")), st.floats(0, 9), st.floats(0, 9))
def test_joined_filters_admit_what_both_do(left: list[str], right: list[str], since: float, modified: float) -> None:
    one = Filter(any_of=(frozenset(left),), since=since, documents=frozenset({"d", "e"}))
    two = Filter(none_of=frozenset(right), documents=frozenset({"d"}), until=5.0)
    for document in ("d", "e"):
        for labels in ("", "a", "ab", "c"):
            about = Attributes(labels=frozenset(labels), modified=modified)
            both = one.admits(document, about) and two.admits(document, about)
            assert joined(one, two).admits(document, about) == both
    assert joined(EVERYTHING, one) == one

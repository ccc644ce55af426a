"""Sentences with exact spans, in prose and in code."""

import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from intelforge.answer.sentences import (
    MARGIN,
    READ_WHOLE,
    TextSentence,
    is_sentence,
    sentences_in,
    sentences_of,
    split_sentences,
)


def texts(found: list[TextSentence]) -> list[str]:
    return [each.text for each in found]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It works. It is fast.", ["It works.", "It is fast."]),
        ("See e.g. Smith, i.e. the author.", ["See e.g. Smith, i.e. the author."]),
        ("It weighs 3.5 kg. Pi is 3.14159.", ["It weighs 3.5 kg.", "Pi is 3.14159."]),
        ("Read https://example.com/a.b?c=d. Then go.", ["Read https://example.com/a.b?c=d.", "Then go."]),
        ("Dr. Who met J. Smith. They left.", ["Dr. Who met J. Smith.", "They left."]),
        ("Lists, trees, etc. are used. Really?", ["Lists, trees, etc. are used.", "Really?"]),
        ("Lists, trees, etc. Then more.", ["Lists, trees, etc.", "Then more."]),
        ("He said “Stop!” She went on…", ["He said “Stop!”", "She went on…"]),
        (
            "Is it so? `wait_for` says no. asyncio.wait does.",
            ["Is it so?", "`wait_for` says no.", "asyncio.wait does."],
        ),
        ("これは文です。次の文です！", ["これは文です。", "次の文です！"]),
        ("One line\ntwo lines. Three", ["One line\ntwo lines.", "Three"]),
        ("", []),
        ("...", ["..."]),
    ],
)
def test_splits_where_a_sentence_ends_and_nowhere_else(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


@settings(deadline=None)
@given(st.text(alphabet="aB .!?。\n\t'\")e.g", max_size=80))
@example("e.g. . . B")
def test_spans_of_split_sentences_are_ordered_and_lose_no_letter(text: str) -> None:
    spans = list(split_sentences(text))
    kept = "".join(text[start:end] for start, end in spans)
    assert "".join(kept.split()) == "".join(text.split())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)


MARKDOWN = """\
# The guide

[![Build](https://img.example.com/b.svg)](https://ci.example.com)

The tool reads [many formats](https://example.com/formats) and **writes** one.
It is quick.

Second title
------------

- The first item explains how it starts. It has two sentences.
- The second item
  goes over two lines.

```python
This code is not a sentence at all.
```

| The table | has words in it |
|-----------|-----------------|
| Some cell | holds some words |

    An indented block is code in Markdown.

> Quoted words are read as well.

[link]: https://example.com
"""


def test_reads_markdown_prose_and_leaves_out_what_is_not_prose() -> None:
    found = sentences_of(MARKDOWN, location="guide.md")
    assert texts(found) == [
        "The tool reads many formats and writes one.",
        "It is quick.",
        "The first item explains how it starts.",
        "It has two sentences.",
        "The second item goes over two lines.",
        "Quoted words are read as well.",
    ]
    assert [each.heading for each in found] == ["The guide"] * 2 + ["Second title"] * 4


def test_a_list_marker_is_not_part_of_the_quote() -> None:
    found = sentences_of("1. First do this thing.\n2) Then do that thing.\n* Last do nothing more.\n")
    assert texts(found) == ["First do this thing.", "Then do that thing.", "Last do nothing more."]


RST = """\
Title of it
===========

The paragraph announces an example::

    this literal block is code and not prose.

.. note:: A directive may hold words too.
.. _target:

:param timeout: Seconds to wait before giving up.
:returns: The result of the awaited thing.

See `the site <https://example.com>`_ for more of it.
"""


def test_reads_restructuredtext() -> None:
    assert texts(sentences_of(RST, location="readme.rst")) == [
        "The paragraph announces an example::",
        ":param timeout: Seconds to wait before giving up.",
        ":returns: The result of the awaited thing.",
        "See the site for more of it.",
    ]


PYTHON = '''\
"""The module says what it is for."""

# A comment that goes over
# two lines of text.

LIMIT = "this string is not a docstring at all"


class Waiter(Base):
    """Waits for things to happen."""

    async def wait_for(self, fut: Future[int], timeout: float = (1 + 2)) -> int:
        """Wait for the future.

        When a timeout occurs, it cancels the task
        and raises TimeoutError.

        Args:
            fut: the future to wait for
            timeout: seconds to wait at most

        >>> this example is not a sentence
        """
        return 1  # because one is the answer

    def other(self):
        'Single quotes hold docstrings too.'


TEMPLATE = """
A long string holds words that answer.
"""
'''


def test_reads_docstrings_comments_and_signatures_with_their_symbols() -> None:
    found = sentences_of(PYTHON, location="pkg/waiter.py", kind="code")
    assert [(each.kind, each.heading, each.text) for each in found] == [
        ("docstring", "", "The module says what it is for."),
        ("comment", "", "A comment that goes over two lines of text."),
        ("signature", "Waiter", "class Waiter(Base)"),
        ("docstring", "Waiter", "Waits for things to happen."),
        (
            "signature",
            "Waiter.wait_for",
            "async def wait_for(self, fut: Future[int], timeout: float = (1 + 2)) -> int",
        ),
        ("docstring", "Waiter.wait_for", "Wait for the future."),
        ("docstring", "Waiter.wait_for", "When a timeout occurs, it cancels the task and raises TimeoutError."),
        ("docstring", "Waiter.wait_for", "fut: the future to wait for"),
        ("docstring", "Waiter.wait_for", "timeout: seconds to wait at most"),
        ("comment", "Waiter.wait_for", "because one is the answer"),
        ("signature", "Waiter.other", "def other(self)"),
        ("docstring", "Waiter.other", "Single quotes hold docstrings too."),
        ("docstring", "", "A long string holds words that answer."),
    ]


TYPESCRIPT = """\
/**
 * Opens the door for a guest.
 * It rings no bell.
 */
export async function openDoor(guest: string): Promise<void> {
  const text = "// not a comment at all here";
  // The lock turns twice.
  // Then it opens.
}

/// Counts the guests inside.
pub fn count(guests: &[Guest]) -> usize {
"""


def test_reads_comments_of_languages_with_braces() -> None:
    found = sentences_of(TYPESCRIPT, location="door.ts", kind="code")
    assert [(each.kind, each.heading, each.text) for each in found] == [
        ("docstring", "openDoor", "Opens the door for a guest."),
        ("docstring", "openDoor", "It rings no bell."),
        ("signature", "openDoor", "export async function openDoor(guest: string): Promise<void>"),
        ("comment", "openDoor", "The lock turns twice."),
        ("comment", "openDoor", "Then it opens."),
        ("comment", "count", "Counts the guests inside."),
        ("signature", "count", "pub fn count(guests: &[Guest]) -> usize"),
    ]


def test_reads_comments_of_languages_with_hashes() -> None:
    text = "# The port that the server uses.\nport: 80 # not the usual one here\nname: 'a # b c d e f'\n"
    found = sentences_of(text, location="settings.yaml", kind="code")
    assert texts(found) == ["The port that the server uses.", "not the usual one here"]


def test_code_without_a_known_suffix_is_read_by_its_hashes() -> None:
    assert texts(sentences_of("# Words in a comment.\nx = 1\n", location="Makefile.in", kind="code")) == [
        "Words in a comment."
    ]


@pytest.mark.parametrize(
    "text", ["import os.path as path", "return foo(bar, baz)", "value = compute(all, the, things)", "x", "{% if a %}"]
)
def test_code_is_no_sentence(text: str) -> None:
    assert not is_sentence(text)


PIECES = st.sampled_from(
    [
        *'"""', "'''", '"', "'", "#", "//", "/*", "*/", "\n", "\n\n", "    ", "def f(x):", "class A:", "# Title", "---",
        "- ", "1. ", "```", "| a |", "e.g. ", "Some words here. ", "Another one! ", "`x`", "\r\n", "\t", "é。", "::",
        "[a](b)", "\\", "(", ")", ":param x: y",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES, max_size=40), st.sampled_from(["a.py", "a.js", "a.md", "a.rst", "a.yaml", "a", ""]))
def test_spans_are_exact_ordered_and_do_not_overlap(pieces: list[str], location: str) -> None:
    text = "".join(pieces)
    last = 0
    for kind in ("code", "text"):
        last = 0
        for each in sentences_of(text, location=location, kind=kind):
            assert last <= each.start < each.end <= len(text)
            assert each.text == " ".join(each.text.split()) != ""
            assert text[each.start : each.end].strip() == text[each.start : each.end]
            last = each.end


@settings(deadline=None)
@given(st.lists(PIECES, max_size=40))
def test_plain_sentences_read_as_their_quotes_do(pieces: list[str]) -> None:
    text = "".join(pieces)
    for each in sentences_of(text, location="a.py", kind="code"):
        words = "".join(each.text.split())
        quote = "".join(text[each.start : each.end].split())
        assert words in quote or set(words) <= set(quote)


def test_only_the_surroundings_of_the_spans_are_read_in_a_very_long_document() -> None:
    filler = "Filler words fill this line.\n\n" * (READ_WHOLE // 25)
    text = f"{filler}The needle is in here.\n\n{filler}"
    start = text.index("The needle")
    span = (start - 3 * MARGIN, start + 40)
    found = sentences_in(text, [span, (start, start + 22)])
    assert [text[each.start : each.end] for each in found] == texts(found)
    assert found[-1].text == "The needle is in here."
    assert "The needle is in here." in texts(found)
    assert all(span[0] <= each.start and each.end <= span[1] for each in found)


def test_a_long_paragraph_of_many_lines_is_read_in_good_time() -> None:
    text = "This line is a sentence.\n" * 10_000
    assert len(sentences_of(text)) == 10_000


def test_a_docstring_deep_in_a_very_long_module_is_read_as_one() -> None:
    method = '    def method(self):\n        """Does one thing well. Does nothing else."""\n        return "x y z"\n\n'
    text = "class Big:\n" + method * (READ_WHOLE // 50)
    start = text.index("Does nothing", READ_WHOLE)
    found = sentences_in(text, [(start, start + 19)], location="big.py", kind="code")
    assert [(each.text, each.kind, each.heading) for each in found] == [("Does nothing else.", "docstring", "method")]


def test_long_lines_and_long_comments_take_time_in_proportion() -> None:
    prose = " " * 200_000 + "x\n" + "Some words are here. "
    code = "def f():\n" + "    # a comment line\n" * 20_000
    began = time.process_time()
    sentences_of(prose, location="a.txt")
    sentences_of(code, location="a.py")
    assert time.process_time() - began < 5

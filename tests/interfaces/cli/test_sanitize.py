from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.interfaces.cli.sanitize import clean, one_line, place


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x9b31mred", "31mred"),
        ("bell\x07 back\x08space\x7f", "bell backspace"),
        ("abc\u202egnp.exe", "abcgnp.exe"),
        ("half \ud800", "half "),
        ("[bold]kept[/bold]\n\ttoo", "[bold]kept[/bold]\n\ttoo"),
        ("Grüße 漢字 👍🏽", "Grüße 漢字 👍🏽"),
    ],
)
def test_nothing_is_left_that_a_terminal_would_act_upon(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b[]0;m\x07\x9b\\"))))
def test_cleaned_text_has_no_control_characters_and_is_clean(text: str) -> None:
    cleaned = clean(text)
    assert all(character >= " " or character in "\n\t" for character in cleaned)
    assert not any("\x7f" <= character <= "\x9f" for character in cleaned)
    cleaned.encode("utf-8")


@given(st.text(), st.integers(min_value=2, max_value=40))
def test_one_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit=limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


def test_carriage_return_cannot_overwrite_what_came_before() -> None:
    assert one_line("safe\rfake") == "safe fake"


def test_place_is_relative_only_below_the_current_folder() -> None:
    assert place("/home/me/docs/a.md", Path("/home/me")) == "docs/a.md"
    assert place("/home/you/a.md", Path("/home/me")) == "/home/you/a.md"
    assert place("https://example.com/a", Path("/home/me")) == "https://example.com/a"
    assert place("/home/me", Path("/home/me")) == "."

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import InvalidInputError
from intelforge.index.paths import PathPattern


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.py", "/home/me/src/a/b.py", True),
        ("*.py", "/home/me/src/a/b.pyc", False),
        ("src/*.py", "/home/me/src/b.py", True),
        ("src/*.py", "/home/me/src/a/b.py", False),
        ("src/**/*.py", "/home/me/src/b.py", True),
        ("src/**/*.py", "/home/me/src/a/c/b.py", True),
        ("src/**", "/home/me/src/a/c/b.py", True),
        ("src", "/home/me/src/a/b.py", True),
        ("rc/a", "/home/me/src/a/b.py", False),
        ("/home/me", "/home/me/src/a/b.py", True),
        ("b.p?", "/home/me/b.py", True),
        ("a+(b).txt", "/x/a+(b).txt", True),
        ("docs/*", "https://example.org/docs/page", True),
        ("a/**/b", "/x/a/cb", False),
        ("?", "/ab", False),
        ("src**b.py", "/src/a/b.py", True),
    ],
)
def test_a_path_pattern_stays_within_folders_unless_told_otherwise(glob: str, path: str, expected: bool) -> None:
    assert PathPattern(glob).matches(path) == expected


@given(st.text("ab/", min_size=1, max_size=12), st.data())
def test_a_path_fits_itself_whatever_wildcards_replace(path: str, data: st.DataObject) -> None:
    assert PathPattern(path).matches(path) or not path.strip("/")
    at = data.draw(st.integers(0, len(path) - 1))
    wild = "**" if path[at] == "/" else data.draw(st.sampled_from(["?", "*", "**", "****"]))
    assert PathPattern(f"{path[:at]}{wild}{path[at + 1 :]}").matches(path)


@pytest.mark.parametrize("glob", ["**a**a**a**a**a**a**a**az", "*" * 2000, "**/" * 600 + "z", "*a" * 20 + "z"])
def test_no_pattern_takes_long(glob: str) -> None:
    began = perf_counter()
    pattern = PathPattern(glob)
    for path in ("a" * 20_000, "a/" * 10_000):
        pattern.matches(path)
    assert perf_counter() - began < 5


@pytest.mark.parametrize(
    ("glob", "words"), [("a" * 501, "has 501 characters; give one of 500"), ("*a" * 41, "has 41 wildcards; give one")]
)
def test_a_pattern_out_of_measure_is_refused(glob: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        PathPattern(glob)
    assert words in str(caught.value)

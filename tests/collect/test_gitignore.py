"""Patterns mean what they mean to git."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from intelforge.collect.gitignore import IgnoreFile, parse_pattern

needs_git = pytest.mark.skipif(
    shutil.which("git") is None and not os.environ.get("CI"), reason="git is not installed: install it to compare"
)
PIECES = [
    "a", "b", "*", "**", "/", "?", "[ab]", "[!a]", "[^b]", "\\a", "**/", "/**/", "/**", "[a-c]", "[]a]", "[[:alpha:]]",
    "[[:nope:]]", "[[:x]", "[c-", "!", " ", "\\ ", "-", "[a", "a/", "\\", "#", "[\\]]", "[a-\\c]", ".", "é", "\\*",
]  # fmt: skip
NAMES = ["a", "b", "c", "ab", "ba", "aa", "]", "a b", "-", "a ", " ", "!", "#", "*", "é", "[", "\\"]
patterns = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join), min_size=1, max_size=4)
paths = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join), min_size=1, max_size=30)


def ignored(file: IgnoreFile, path: str) -> bool:
    """As a walk finds it: an ignored folder hides what is below."""
    parts = os.fsencode(path).split(b"/")
    for depth in range(1, len(parts) + 1):
        pattern = file.decide(b"/".join(parts[:depth]), is_folder=depth < len(parts))
        if pattern and not pattern.negated:
            return True
    return False


def ignored_by_git(repository: Path, paths: list[str]) -> set[str]:
    command = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(repository)]
    command += ["check-ignore", "--no-index", "-z", "--stdin"]
    done = subprocess.run(command, input="\0".join(paths).encode() + b"\0", capture_output=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return set(done.stdout.decode().split("\0")) - {""}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    return path


@needs_git
@given(patterns, paths)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(["a**/[]a]*/**/"], ["aa/ab/c", "aa/ab"])
@example(["a**/-"], ["ab/b/-"])
@example(["*", "!a/", "!b"], ["a/b", "a/c", "b", "c"])
@example(["a ", "b\\ "], ["a", "a ", "b "])
def test_the_same_paths_are_ignored_as_by_git(repository: Path, patterns: list[str], paths: list[str]) -> None:
    (repository / ".gitignore").write_text("\n".join(patterns) + "\n")
    file = IgnoreFile.parse(".gitignore", (repository / ".gitignore").read_bytes())
    assert {path for path in paths if ignored(file, path)} == ignored_by_git(repository, paths)


@needs_git
@pytest.mark.parametrize(
    ("patterns", "kept", "left_out"),
    [
        (["*", "!*/", "!*.py"], ["a.py", "s/t/a.py"], ["a.txt", "s/t/a.txt"]),
        (["*", "!*.py"], ["a.py"], ["s/a.py"]),
        (["/*", "!/src/"], ["src/a", "src/b/c"], ["a", "docs/src"]),
        (["public/**", "!public/index.html"], ["public/index.html"], ["public/a", "public/s/index.html"]),
        (["logs/", "!logs/keep"], ["x"], ["logs/keep"]),
        (["logs/*", "!logs/keep/"], ["logs/keep/x/y"], ["logs/a"]),
        (["foo/**", "!foo/**/", "!foo/**/*.txt"], ["foo/a.txt", "foo/s/t/a.txt"], ["foo/b", "foo/s/b"]),
        (["**/data/**", "!**/data/keep/", "!**/data/keep/**"], ["data/keep/c", "x/data/keep/d/e"], ["x/data/b"]),
        (["!**/node_modules/**", "/node_modules"], ["x/node_modules/a"], ["node_modules/a/b"]),
        (["**/[Pp]ackages/*", "!**/[Pp]ackages/build/"], ["x/packages/build/z"], ["Packages/a/b", "x/packages/y"]),
        (["*.log", "!important/"], ["important/a"], ["important/a.log"]),
        (["[[:digit:]]*.txt", "\\#a#", "*~"], ["a.txt"], ["1a.txt", "#a#", "b~"]),
    ],
)
def test_what_people_write_means_what_it_means_to_git(
    repository: Path, patterns: list[str], kept: list[str], left_out: list[str]
) -> None:
    (repository / ".gitignore").write_text("\n".join(patterns) + "\n")
    file = IgnoreFile.parse(".gitignore", (repository / ".gitignore").read_bytes())
    assert [path for path in kept + left_out if ignored(file, path)] == left_out
    assert ignored_by_git(repository, kept + left_out) == set(left_out)


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_any_bytes_are_patterns_or_nothing(data: bytes, path: bytes) -> None:
    decided = IgnoreFile.parse("x", data).decide(path, is_folder=False)
    assert decided is None or not decided.folders_only


@pytest.mark.parametrize("line", [b"", b"   ", b"# comment", b"[a", b"a\\", b"!", b"/", b"[[:nope:]]", b"a" * 5000])
def test_what_can_never_match_is_no_pattern(line: bytes) -> None:
    assert parse_pattern(line) is None


def test_line_ends_and_byte_order_mark_are_no_part_of_a_pattern() -> None:
    file = IgnoreFile.parse("x", b"\xef\xbb\xbf*.a\r\n*.b\r\n")
    assert file.decide(b"x.a", is_folder=False)
    assert file.decide(b"x.b", is_folder=False)


def test_the_deciding_pattern_is_the_last_and_is_named() -> None:
    file = IgnoreFile.parse("x", b"*.txt\n!keep.txt\nkeep.txt/\n")
    kept = file.decide(b"sub/keep.txt", is_folder=False)
    folder = file.decide(b"sub/keep.txt", is_folder=True)
    assert kept is not None
    assert kept.negated
    assert folder is not None
    assert folder.text == "keep.txt/"


@pytest.mark.parametrize(
    "pattern", [b"*a" * 30 + b"b", b"x/" + b"**/a*" * 20 + b"/b", b"**/" * 30 + b"b", b"*" * 200 + b"b"]
)
def test_no_pattern_makes_matching_slow(pattern: bytes) -> None:
    file = IgnoreFile("x", [pattern])
    start = time.perf_counter()
    assert file.decide(b"x/" + b"a" * 250, is_folder=False) is None
    assert file.decide(b"x/" + b"a/" * 500 + b"c", is_folder=False) is None
    assert time.perf_counter() - start < 2


def test_no_number_of_patterns_makes_matching_slow() -> None:
    file = IgnoreFile("x", [b"keep", *[b"a"] * 20_000])
    start = time.perf_counter()
    for _ in range(20):
        assert file.decide(b"b", is_folder=False) is None
        found = file.decide(b"keep", is_folder=False)
        assert found is not None
        assert found.text == "keep"
    assert time.perf_counter() - start < 2

"""What is pointed at is recognised, or the error says what was likely meant."""

import os
from pathlib import Path

import pytest

from intelforge.collect.recognise import recognise
from intelforge.core.errors import IntelForgeError, InvalidInputError, NotFoundError
from intelforge.core.values import SourceKind


@pytest.mark.parametrize(
    ("location", "kind", "uri"),
    [
        ("https://example.com", SourceKind.WEB, "https://example.com/"),
        ("HTTPS://Example.com/a?b=c#d", SourceKind.WEB, "https://example.com/a?b=c"),
        ("http://[2001:db8::1]:81/x", SourceKind.WEB, "http://[2001:db8::1]:81/x"),
        ("https://example.com/x.git", SourceKind.GIT, "https://example.com/x.git"),
        ("https://github.com/owner/name", SourceKind.GIT, "https://github.com/owner/name.git"),
        ("https://github.com/owner/name/", SourceKind.GIT, "https://github.com/owner/name.git"),
        ("https://github.com/owner/name.git", SourceKind.GIT, "https://github.com/owner/name.git"),
        ("https://github.com/owner/name/issues", SourceKind.WEB, "https://github.com/owner/name/issues"),
        ("https://github.com/features/actions", SourceKind.WEB, "https://github.com/features/actions"),
        ("https://github.com/owner", SourceKind.WEB, "https://github.com/owner"),
        ("https://gitlab.com/group/sub/name", SourceKind.GIT, "https://gitlab.com/group/sub/name.git"),
        ("https://gitlab.com/group/name/-/issues", SourceKind.WEB, "https://gitlab.com/group/name/-/issues"),
        ("https://codeberg.org/owner/name", SourceKind.GIT, "https://codeberg.org/owner/name.git"),
        ("ssh://git@example.com:22/name", SourceKind.GIT, "ssh://git@example.com:22/name"),
        ("git@example.com:owner/name.git", SourceKind.GIT, "git@example.com:owner/name.git"),
    ],
)
def test_urls(tmp_path: Path, location: str, kind: SourceKind, uri: str) -> None:
    assert recognise(location, kind=None, base=tmp_path) == (kind, uri)


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "a.md").touch()
    (tmp_path / "work" / ".git").mkdir(parents=True)
    for name in ("objects", "refs"):
        (tmp_path / "bare.git" / name).mkdir(parents=True)
    (tmp_path / "bare.git" / "HEAD").touch()
    expected = {
        "docs": SourceKind.FOLDER,
        "./docs/": SourceKind.FOLDER,
        "a.md": SourceKind.FILE,
        "work": SourceKind.GIT,
        "bare.git": SourceKind.GIT,
    }
    for location, kind in expected.items():
        found = recognise(location, kind=None, base=tmp_path)
        assert found == (kind, str((tmp_path / location).resolve()))
    assert recognise((tmp_path / "docs").as_uri(), kind=None, base=Path("/")) == (
        SourceKind.FOLDER,
        str(tmp_path / "docs"),
    )


def test_the_kind_can_be_given(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert recognise(".", kind="folder", base=tmp_path) == (SourceKind.FOLDER, str(tmp_path))
    assert recognise("https://example.com/x", kind="git", base=tmp_path)[0] is SourceKind.GIT
    assert recognise("https://github.com/a/b", kind="web", base=tmp_path) == (SourceKind.WEB, "https://github.com/a/b")


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("", None), ("a\0b", None), (".", "nonsense"), (".", "file"), (".", "web"), ("ftp://example.com/", None),
        ("git://example.com/x", None), ("https:///x", None), ("https://example.com:99999/", None),
        ("https://example.com/", "folder"), ("ssh://git@example.com/x", "web"), ("git@example.com:x.git", "file"),
        ("/dev/null", None),
    ],
)  # fmt: skip
def test_nonsense_is_refused(tmp_path: Path, location: str, kind: str | None) -> None:
    with pytest.raises(InvalidInputError):
        recognise(location, kind=kind, base=tmp_path)


def test_credentials_in_a_url_are_refused_and_not_repeated(tmp_path: Path) -> None:
    for location in (
        "https://anna:s3cret@example.com/",
        "https://s3cret@example.com/x.git",
        "ssh://a:s3cret@example.com/x",
    ):
        with pytest.raises(InvalidInputError) as caught:
            recognise(location, kind=None, base=tmp_path)
        assert "s3cret" not in str(caught.value)


def test_a_missing_path_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "handbook").mkdir()
    (tmp_path / "a.txt").touch()
    for location, hint in {
        "handbok": f"did you mean {tmp_path / 'handbook'}?",
        "handbok/deep/x": f"did you mean {tmp_path / 'handbook'}?",
        "zzz": "holds no zzz",
        "a.txt/b": "is a file",
        "example.com/docs": "https://example.com/docs",
    }.items():
        with pytest.raises(NotFoundError) as caught:
            recognise(location, kind=None, base=tmp_path)
        assert hint in caught.value.hint


def test_a_path_that_may_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", denied)
    with pytest.raises(IntelForgeError, match="Permission denied"):
        recognise("x", kind=None, base=tmp_path)

import os
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from intelforge.core.errors import InvalidInputError, StorageError
from intelforge.interfaces.cli.demo_folder import MARK, claim_folder, write_readmes


class Installed(Distribution):
    """A distribution whose metadata is this text."""

    def __init__(self, metadata: str) -> None:
        self._metadata = metadata

    def read_text(self, filename: str) -> str | None:
        return self._metadata if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


def installed(name: str, body: str, media_type: str = "") -> Installed:
    declared = f"Description-Content-Type: {media_type}\n" if media_type else ""
    return Installed(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{declared}\n{body}")


def test_each_readme_is_a_file_of_its_type(tmp_path: Path) -> None:
    found = [
        installed("a", "# A\n", "text/markdown; charset=UTF-8; variant=GFM"),
        installed("b", "B\n=\n", "text/x-rst"),
        installed("c", "plain Grüße"),
    ]
    assert write_readmes(tmp_path / "readmes", found) == 3
    texts = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "readmes").iterdir()}
    assert texts == {"a-1.0.md": "# A\n", "b-1.0.rst": "B\n=\n", "c-1.0.txt": "plain Grüße\n"}


@pytest.mark.parametrize("body", ["", "UNKNOWN", "\n\n"])
def test_distribution_without_readme_is_left_out(tmp_path: Path, body: str) -> None:
    assert write_readmes(tmp_path / "readmes", [installed("a", body)]) == 0


def test_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    write_readmes(tmp_path / "readmes", [installed("../../evil", "text")])
    assert [file.name for file in (tmp_path / "readmes").iterdir()] == [".._.._evil-1.0.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["readmes"]


def test_second_run_touches_only_what_changed_and_drops_what_is_gone(tmp_path: Path) -> None:
    write_readmes(tmp_path, [installed("a", "same"), installed("b", "old"), installed("c", "gone")])
    os.utime(tmp_path / "a-1.0.txt", ns=(1, 1))
    os.utime(tmp_path / "b-1.0.txt", ns=(1, 1))
    write_readmes(tmp_path, [installed("a", "same"), installed("b", "new")])
    assert (tmp_path / "a-1.0.txt").stat().st_mtime_ns == 1
    assert (tmp_path / "b-1.0.txt").read_text() == "new\n"
    assert not (tmp_path / "c-1.0.txt").exists()


def test_what_is_installed_here_has_readmes(tmp_path: Path) -> None:
    assert write_readmes(tmp_path, distributions()) == len(list(tmp_path.iterdir())) > 10


def test_new_and_empty_folders_are_claimed_and_known_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "demo"
    assert claim_folder(folder) == folder
    (folder / "more").write_text("x")
    assert claim_folder(folder) == folder
    (tmp_path / "empty").mkdir()
    assert (claim_folder(tmp_path / "empty") / MARK).is_file()


def test_what_belongs_to_others_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    for theirs in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(InvalidInputError, match="no demonstration workspace"):
            claim_folder(theirs)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_folder_that_cannot_be_made_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="--path"):
        claim_folder(tmp_path / "file" / "below")

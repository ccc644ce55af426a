"""Folders of real source files to measure on: what any Python installation has, copied in a fixed order."""

import hashlib
import os
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset({".py", ".md", ".js", ".c"})
LARGEST = 256 * 1024
"""bytes; what is larger was generated, and a few dozen of those would be most of the text"""
SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Text files below one folder. `files` are relative to it, sorted."""

    folder: Path
    files: tuple[Path, ...]
    size: int
    """bytes of all files"""


def read(folder: Path, *, limit: int | None = None) -> Corpus:
    """The text files below a folder; with a limit, that many of them at even distances, so that they stand for all."""
    files = [path.relative_to(folder) for path in _walk(folder) if _is_text(path)]
    if limit is not None and limit < len(files):
        files = [files[number * len(files) // limit] for number in range(limit)]
    return Corpus(folder=folder, files=tuple(files), size=sum((folder / file).stat().st_size for file in files))


def copy(corpus: Corpus, destination: Path) -> Corpus:
    """The same files in another folder."""
    for file in corpus.files:
        target = destination / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(corpus.folder / file, target)
    return Corpus(folder=destination, files=corpus.files, size=corpus.size)


def installed(environments: Path) -> dict[str, Path]:
    """Where source files are found on this machine, by name: the standard library, and installed packages."""
    roots = {"stdlib": Path(sysconfig.get_paths()["stdlib"])}
    for packages in sorted(environments.glob("*/lib/python*/site-packages")):
        roots[packages.relative_to(environments).parts[0]] = packages
    roots["packages"] = Path(sysconfig.get_paths()["purelib"])
    return roots


def collect(number: int, destination: Path, *, roots: Mapping[str, Path]) -> int:
    """Copies `number` source files of distinct contents, at even distances among all; returns how many there were."""
    candidates = list(_distinct(roots))
    number = min(number, len(candidates))
    for place in range(number):
        source, name = candidates[place * len(candidates) // number]
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return number


def _distinct(roots: Mapping[str, Path]) -> Iterator[tuple[Path, Path]]:
    """Each content once: where it is, and its name below the name of its root."""
    seen: set[bytes] = set()
    for name, root in roots.items():
        for path in _walk(root):
            if path.suffix not in SUFFIXES or not 0 < path.stat().st_size <= LARGEST or not _is_text(path):
                continue
            digest = hashlib.sha256(path.read_bytes()).digest()
            if digest not in seen:
                seen.add(digest)
                yield path, name / path.relative_to(root)


def _walk(folder: Path) -> Iterator[Path]:
    """Regular files that are not hidden, in the order of their paths."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS)
        paths = (Path(parent, name) for name in sorted(files) if not name.startswith("."))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _is_text(path: Path) -> bool:
    """Whether a file has contents and looks like text, as git decides it."""
    with path.open("rb") as file:
        start: bytes = file.read(8000)
    return bool(start) and b"\0" not in start

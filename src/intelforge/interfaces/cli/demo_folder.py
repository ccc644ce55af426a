"""What the demonstration reads: a folder of its own with the README of every installed distribution."""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path

from intelforge.core.errors import InvalidInputError, StorageError

MARK = "DEMO.md"
_MARK_TEXT = """# IntelForge demonstration workspace

Made by `intelforge demo`, which may write here again. `readmes/` holds the README texts of the Python distributions
that were installed then. Delete the folder whenever you like.
"""
_SUFFIXES = {"text/markdown": ".md", "text/x-rst": ".rst"}
_UNSAFE = re.compile(r"[^\w.+-]+")


def claim_folder(path: Path) -> Path:
    """Makes `path` the demonstration's own, or finds that it is. Raises InvalidInputError when it is someone else's."""
    path = path.absolute()
    mark = path / MARK
    if path.exists() and not mark.is_file() and (not path.is_dir() or any(path.iterdir())):
        raise InvalidInputError(
            f"{path} is there already and no demonstration workspace", hint="choose another with --path"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        mark.write_text(_MARK_TEXT, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another with --path") from error
    return path


def write_readmes(folder: Path, distributions: Iterable[Distribution]) -> int:
    """Makes `folder` hold exactly these distributions' README texts and gives their number.

    A file that is right already is not touched, so that the next sync finds it unchanged.
    """
    folder.mkdir(exist_ok=True)
    wanted = dict(_readmes(distributions))
    for name, text in wanted.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8", newline="")
    for file in folder.iterdir():
        if file.name not in wanted:
            file.unlink()
    return len(wanted)


def _readmes(distributions: Iterable[Distribution]) -> Iterator[tuple[str, str]]:
    for distribution in distributions:
        metadata = distribution.metadata.json
        text = str(metadata.get("description", "")).strip()
        if text in {"", "UNKNOWN"}:
            continue
        media_type = str(metadata.get("description_content_type", "")).partition(";")[0].strip().lower()
        name = _UNSAFE.sub("_", f"{metadata['name']}-{metadata['version']}")
        yield f"{name}{_SUFFIXES.get(media_type, '.txt')}", f"{text.encode(errors='replace').decode()}\n"

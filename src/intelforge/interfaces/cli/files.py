"""Files that a command writes where the user says."""

from pathlib import Path

from intelforge.core.errors import StorageError


def write_file(path: Path, text: str) -> None:
    """Writes a file anew. Raises StorageError that names it."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another place") from error

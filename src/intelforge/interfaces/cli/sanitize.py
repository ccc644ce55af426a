"""Text of others made safe and fit for a terminal: no escape sequences, no hidden direction changes, no markup."""

import re
from pathlib import Path

_UNSAFE = re.compile(
    "\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)"  # operating system commands, with the text they carry
    "|\x1b\\[[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor moves
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """`text` without anything a terminal would act upon; new lines and tabs stay."""
    return _UNSAFE.sub("", text)


def one_line(text: str, *, limit: int | None = None) -> str:
    """`text` cleaned and folded into one line of at most `limit` characters, the last one an ellipsis when cut."""
    line = _SPACE.sub(" ", clean(text.replace("\r", "\n"))).strip()
    return line if limit is None or len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def place(location: str, current: Path) -> str:
    """A location as the reader would write it: relative when it is a path below the current folder."""
    path = Path(location)
    if path.is_absolute() and path.is_relative_to(current):
        location = str(path.relative_to(current))
    return one_line(location) or "."

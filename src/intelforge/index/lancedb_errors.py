"""What LanceDB raises, as IntelForgeError: one line that says what, where and how to mend it."""

import re
from pathlib import Path
from types import TracebackType

from intelforge.core.errors import BusyError, ErrorCode, IntelForgeError, StorageError

CONFLICT = re.compile(r"conflict|concurrent|too many.*retries", re.IGNORECASE)
"""what Lance says when another process committed first"""

SOURCE = re.compile(r",?\s*(?:at\s+)?[^\s,()]+\.rs(?::\d+){1,2}")
"""where in its own source Lance raised it"""


class translated:  # noqa: N801 - used as a function
    """Turns what LanceDB raises into IntelForgeError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, IntelForgeError):
            return
        text = SOURCE.sub("", " ".join(str(error).split()))
        if CONFLICT.search(text):
            raise BusyError(f"the index {self._folder} is being written by others", hint="try again") from error
        for sign, code, what, hint in SIGNS:
            if sign in text.lower():
                raise StorageError(f"the index {self._folder} {what}", hint=hint, code=code) from error
        raise StorageError(
            f"the index {self._folder} cannot be used ({text[:200]})",
            hint="delete that folder and run: intelforge sync (it rebuilds the index from the database)",
            code=ErrorCode.DAMAGED,
        ) from error


SIGNS = (
    ("no space left", ErrorCode.DISK_FULL, "cannot be written: the disk is full", "free some space, then sync again"),
    ("disk quota", ErrorCode.DISK_FULL, "cannot be written: the disk quota is used up", "free some space"),
    ("read-only file system", ErrorCode.READ_ONLY, "cannot be written: the disk is read-only", "move the workspace"),
    ("permission denied", ErrorCode.READ_ONLY, "may not be read or written", "check the permissions of the folder"),
)

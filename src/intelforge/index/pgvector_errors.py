"""What psycopg raises, as errors that say how to mend it."""

from types import TracebackType
from typing import Final

from psycopg import Error, OperationalError
from psycopg_pool import PoolTimeout

from intelforge.core.errors import BusyError, ErrorCode, StorageError

SIGNS: Final = (
    ("53", ErrorCode.DISK_FULL, "has no room left", "free disk space or connections on that server"),
    ("25006", ErrorCode.READ_ONLY, "is read-only", "name the primary server in the setting `index`"),
    ("28", ErrorCode.REFUSED, "refuses the user or the password", "mend them in the setting `index`"),
    ("3D000", ErrorCode.NOT_FOUND, "has no such database", "create that database"),
    ("0A000", ErrorCode.UNSUPPORTED, "has no pgvector", "install pgvector 0.8 or newer on that server"),
    ("58P01", ErrorCode.UNSUPPORTED, "has no pgvector", "install pgvector 0.8 or newer on that server"),
    ("42501", ErrorCode.REFUSED, "does not let this user write", "as its owner run: CREATE EXTENSION vector"),
    ("57", ErrorCode.UNREACHABLE, "was shut down or ended the connection", "start the server, then try again"),
    ("08", ErrorCode.UNREACHABLE, "does not answer", "start the server, or mend the setting `index`"),
)
"""by the beginning of the SQLSTATE"""
LOCKED: Final = ("40", "55P03")
WRONG_PASSWORD: Final = ("password authentication failed", "no password supplied", "role ", "pg_hba.conf")


class translated:  # noqa: N801 - used as a function
    """Turns what psycopg raises into IntelForgeError."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Error):
            return
        state = error.sqlstate or _state_of_connecting(error)
        if state.startswith(LOCKED):
            raise BusyError(f"the index {self._place} is being written by others", hint="try again") from error
        for sign, code, what, hint in SIGNS:
            if state.startswith(sign):
                raise StorageError(f"the index {self._place} {what}", hint=hint, code=code) from error
        raise StorageError(
            f"the index {self._place} cannot be used ({str(error).partition(chr(10))[0][:200]})",
            hint="run there: DROP SCHEMA intelforge_index CASCADE; then: intelforge sync (it rebuilds the index)",
            code=ErrorCode.DAMAGED,
        ) from error


def _state_of_connecting(error: Error) -> str:
    """The SQLSTATE that libpq leaves out when there is no connection."""
    text = str(error)
    if any(sign in text for sign in WRONG_PASSWORD):
        return "28000"
    if 'database "' in text and "does not exist" in text:
        return "3D000"
    return "08000" if isinstance(error, OperationalError | PoolTimeout) else ""

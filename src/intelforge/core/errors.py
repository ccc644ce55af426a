"""Every error IntelForge raises on purpose: one tree, one table of codes.

An error says what was tried and what happened (`message`) and what to do about it (`hint`). Its `code` alone decides
the process exit code, the HTTP status and whether trying again later can help.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """What went wrong, in one word that scripts can rely on."""

    INTERNAL = "internal"
    INVALID_INPUT = "invalid_input"
    INVALID_CONFIG = "invalid_config"
    NOT_FOUND = "not_found"
    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"
    DAMAGED = "damaged"
    ENCRYPTED = "encrypted"
    TOO_LARGE = "too_large"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CHANGED_WHILE_READ = "changed_while_read"
    IGNORED = "ignored"
    BLOCKED = "blocked"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    REFUSED = "refused"
    DISK_FULL = "disk_full"
    READ_ONLY = "read_only"
    NEWER_WORKSPACE = "newer_workspace"
    BUSY = "busy"
    MISSING_EXTRA = "missing_extra"
    MISSING_MODEL = "missing_model"
    MODEL_FAILED = "model_failed"
    OVER_BUDGET = "over_budget"
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a code means to the outside: process exit code, HTTP status, and whether a retry can help."""

    exit_code: int
    http_status: int
    retryable: bool = False


OUTCOMES: dict[ErrorCode, Outcome] = {
    ErrorCode.INTERNAL: Outcome(1, 500),
    ErrorCode.INVALID_INPUT: Outcome(2, 422),
    ErrorCode.INVALID_CONFIG: Outcome(3, 500),
    ErrorCode.NOT_FOUND: Outcome(4, 404),
    ErrorCode.UNREADABLE: Outcome(5, 403, retryable=True),
    ErrorCode.UNSUPPORTED: Outcome(6, 415),
    ErrorCode.DAMAGED: Outcome(7, 422),
    ErrorCode.ENCRYPTED: Outcome(8, 422),
    ErrorCode.TOO_LARGE: Outcome(9, 413),
    ErrorCode.TIMED_OUT: Outcome(10, 504, retryable=True),
    ErrorCode.OUT_OF_MEMORY: Outcome(11, 422),
    ErrorCode.CHANGED_WHILE_READ: Outcome(12, 409, retryable=True),
    ErrorCode.BLOCKED: Outcome(13, 403),
    ErrorCode.UNREACHABLE: Outcome(14, 502, retryable=True),
    ErrorCode.UNTRUSTED: Outcome(15, 502),
    ErrorCode.REFUSED: Outcome(16, 502),
    ErrorCode.DISK_FULL: Outcome(17, 507, retryable=True),
    ErrorCode.READ_ONLY: Outcome(18, 403),
    ErrorCode.NEWER_WORKSPACE: Outcome(19, 409),
    ErrorCode.BUSY: Outcome(20, 409, retryable=True),
    ErrorCode.MISSING_EXTRA: Outcome(21, 501),
    ErrorCode.MISSING_MODEL: Outcome(22, 503),
    ErrorCode.MODEL_FAILED: Outcome(23, 502, retryable=True),
    ErrorCode.IGNORED: Outcome(24, 422),
    ErrorCode.OVER_BUDGET: Outcome(25, 402),
    ErrorCode.RATE_LIMITED: Outcome(26, 429, retryable=True),
    ErrorCode.REJECTED: Outcome(27, 400),
    ErrorCode.INTERRUPTED: Outcome(130, 499, retryable=True),
}


class IntelForgeError(Exception):
    """The root of all errors raised on purpose. `str(error)` is one line: the message, then the hint."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "", code: ErrorCode | None = None) -> None:
        super().__init__(message, hint, code)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())
        self._code = code

    @property
    def error_code(self) -> ErrorCode:
        return self._code or self.code

    @property
    def retryable(self) -> bool:
        return OUTCOMES[self.error_code].retryable

    @property
    def exit_code(self) -> int:
        return OUTCOMES[self.error_code].exit_code

    @property
    def http_status(self) -> int:
        return OUTCOMES[self.error_code].http_status

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __reduce__(self) -> "tuple[object, ...]":
        return (_rebuild, (type(self), self.message, self.hint, self._code))


def _rebuild(kind: type[IntelForgeError], message: str, hint: str, code: ErrorCode | None) -> IntelForgeError:
    return kind(message, hint=hint, code=code)


class InvalidInputError(IntelForgeError):
    """The caller asked for something that makes no sense: a bad span, an empty query, an unknown kind."""

    code = ErrorCode.INVALID_INPUT


class ConfigError(IntelForgeError):
    """A setting has a wrong value or name; the message names the setting and where it came from."""

    code = ErrorCode.INVALID_CONFIG


class NotFoundError(IntelForgeError):
    """What was named is not there: a path, a document, a source, a workspace, a model."""

    code = ErrorCode.NOT_FOUND


class ItemError(IntelForgeError):
    """One item could not be collected or refined; the rest of its batch goes on."""

    code = ErrorCode.DAMAGED


class EgressError(IntelForgeError):
    """An outbound connection was refused by policy or failed."""

    code = ErrorCode.UNREACHABLE


class StorageError(IntelForgeError):
    """The database, the index or the disk below them cannot be used."""

    code = ErrorCode.READ_ONLY


class BusyError(IntelForgeError):
    """Another process holds what is needed; its lease names it."""

    code = ErrorCode.BUSY


class BackendError(IntelForgeError):
    """A backend named by a URL is missing, unknown or not installed."""

    code = ErrorCode.MISSING_EXTRA


class ModelError(IntelForgeError):
    """A model is missing, refused its weights, or failed to answer."""

    code = ErrorCode.MODEL_FAILED
    may_cost = False
    """its server may have done the work all the same"""
    retry_after: float | None = None
    """seconds after which it may answer again, where its provider told them"""


class BudgetError(IntelForgeError):
    """A call was not made because a hard budget has no room for it."""

    code = ErrorCode.OVER_BUDGET

"""Why a model's provider gave no usable reply, and what that means for trying again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from intelforge.core.chat import ChatRequest
from intelforge.core.errors import ErrorCode, ModelError


class Failure(StrEnum):
    """The class of a failure."""

    BUSY = "busy"
    """asked too often"""
    SERVER = "server"
    UNREACHABLE = "unreachable"
    """no connection: nothing was sent"""
    BROKEN = "broken"
    """the connection was lost after the request was sent"""
    TIMEOUT = "timeout"
    LATE = "late"
    """no time was left to ask it"""
    MALFORMED = "malformed"
    """a reply that cannot be read or is empty"""
    UNFIT = "unfit"
    """a whole reply that is not what was asked for: JSON, the call of a tool, words within the length"""
    KEY = "key"
    CREDIT = "credit"
    MISSING = "missing"
    TOO_LONG = "too_long"
    REJECTED = "rejected"
    """the request itself"""
    MISCALLED = "miscalled"
    """what was sent to it is our fault, or that of the settings: a wrong address, a length that nobody asked for"""
    FILTERED = "filtered"
    RESTING = "resting"
    """it failed often of late and is left alone for a while"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What a class of failures means."""

    code: ErrorCode = ErrorCode.MODEL_FAILED
    again: bool = False
    """the same model may answer when asked again"""
    counts: bool = False
    """it speaks against the model"""
    ill: bool = False
    """it speaks against its health too: what comes often enough is left alone"""
    costs: bool = False
    """the provider may have charged for it"""


ADVICE: Final[dict[Failure, Advice]] = {
    Failure.BUSY: Advice(code=ErrorCode.RATE_LIMITED, again=True),
    Failure.SERVER: Advice(again=True, counts=True, ill=True),
    Failure.UNREACHABLE: Advice(code=ErrorCode.UNREACHABLE, again=True, counts=True, ill=True),
    Failure.BROKEN: Advice(code=ErrorCode.UNREACHABLE, again=True, counts=True, ill=True, costs=True),
    Failure.TIMEOUT: Advice(code=ErrorCode.TIMED_OUT, counts=True, ill=True, costs=True),
    Failure.LATE: Advice(code=ErrorCode.TIMED_OUT),
    Failure.MALFORMED: Advice(again=True, counts=True, ill=True, costs=True),
    Failure.UNFIT: Advice(again=True, counts=True, costs=True),
    Failure.KEY: Advice(code=ErrorCode.REFUSED),
    Failure.CREDIT: Advice(code=ErrorCode.REFUSED),
    Failure.MISSING: Advice(code=ErrorCode.MISSING_MODEL),
    Failure.TOO_LONG: Advice(code=ErrorCode.TOO_LARGE),
    Failure.REJECTED: Advice(code=ErrorCode.REJECTED),
    Failure.MISCALLED: Advice(),
    Failure.FILTERED: Advice(code=ErrorCode.REJECTED, costs=True),
    Failure.RESTING: Advice(),
}


class ProviderError(ModelError):
    """A failure of one model, with its class.

    The message names provider and model. It repeats nothing they said but why they do not take a request.
    """

    kind = Failure.SERVER
    partial = False
    """a part of the reply had been given out"""
    lacking: frozenset[str] = frozenset()
    """what the provider says its model cannot do at all: `tools`, `json_schema`"""
    of_length = False
    """the provider rejects the length of reply that was asked for"""

    @property
    def advice(self) -> Advice:
        return ADVICE[self.kind]


def failure(kind: Failure, message: str, *, hint: str, retry_after: float | None = None) -> ProviderError:
    """A ProviderError of this class."""
    error = ProviderError(message, hint=hint, code=ADVICE[kind].code)
    error.kind, error.retry_after = kind, retry_after
    return error


@contextmanager
def blamed(request: ChatRequest) -> Iterator[None]:
    """Around an attempt with a request as it was given: a length it does not ask for is no fault of who gave it."""
    try:
        yield
    except ProviderError as error:
        if not error.of_length or request.max_tokens is not None:
            raise
        problem = failure(Failure.MISCALLED, error.message, hint="lower llm_max_tokens, or choose another model")
    else:
        return
    raise problem

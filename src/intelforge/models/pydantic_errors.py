"""The errors of pydantic-ai and the SDKs below it, made into ours.

What they say is left out, as it may repeat a key, but for the reason why a request is rejected, where no key is in it.
"""

from collections.abc import Collection
from typing import Final

from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
    UnexpectedModelBehavior,
    UserError,
)

from intelforge.core.chat import ChatRequest
from intelforge.core.errors import EgressError
from intelforge.models.failures import Failure, ProviderError, failure
from intelforge.models.rejections import (
    filter_meant,
    key_meant,
    lacking,
    length_meant,
    model_meant,
    reason,
    said_in,
    schema_meant,
    too_long,
    tool_meant,
    unreadable,
)

_KINDS: Final[tuple[tuple[type[Exception], Failure], ...]] = (
    (ModelAuthenticationError, Failure.KEY),
    (ModelNotFoundError, Failure.MISSING),
    (ModelQuotaExceededError, Failure.CREDIT),
    (ModelRateLimitError, Failure.BUSY),
    (ModelContextWindowExceededError, Failure.TOO_LONG),
    (ModelRequestRejectedError, Failure.REJECTED),
    (ModelTimeoutError, Failure.TIMEOUT),
    (ModelConnectionError, Failure.BROKEN),
    (ModelServerError, Failure.SERVER),
    (ModelUnavailableError, Failure.SERVER),
    (ContentFilterError, Failure.FILTERED),
    (UnexpectedModelBehavior, Failure.MALFORMED),
    (ModelAPIError, Failure.SERVER),
    (UserError, Failure.REJECTED),
)
_WORDS: Final[dict[Failure, tuple[str, str]]] = {
    Failure.KEY: ("refused the key", "set {key}, or check it and what it may use"),
    Failure.MISSING: ("is not there", "check its name: intelforge models check tells some that are{pull}"),
    Failure.CREDIT: ("has no credit left", "top up the account, or choose another model"),
    Failure.BUSY: ("is asked too often", "wait a minute, or name another model after it in llm"),
    Failure.TOO_LONG: ("cannot read so much", "ask for less, or choose a model with a larger context window"),
    Failure.REJECTED: (
        "cannot do what was asked",
        "check temperature, lengths, tools and images of the request, and what it can do: intelforge models check",
    ),
    Failure.TIMEOUT: ("took too long to answer", "raise llm_timeout, or choose another model"),
    Failure.UNREACHABLE: ("cannot be reached", "start it, or check the connection"),
    Failure.BROKEN: ("broke off its reply", "try again, or name another model after it in llm"),
    Failure.SERVER: ("failed", "try again, or name another model after it in llm"),
    Failure.FILTERED: ("refused to answer", "ask in other words, or choose another model"),
    Failure.MALFORMED: (
        "gave no usable reply",
        "check that its address is its API's, try again, or choose another model",
    ),
}
_REDIRECTED: Final = ("answered with a redirect, which is not followed", "check its address")
_ASTRAY: Final = ("is not at that address", "check its address")
_MISREAD: Final = ("could not read what it was sent", "report it, and choose another model meanwhile")
_NO_SUCH_API: Final = (405, 406, 415)
"""statuses of an address that is not the API's"""
_FORBIDDEN: Final = 403
_TOO_LARGE: Final = (413, 414, 431)
_PASSING: Final = (408, 409, 425, 498, 499)
"""of 4xx: what has to do with the moment, not with the request"""
_MEANT: Final = (
    (Failure.TOO_LONG, too_long),
    (Failure.MISCALLED, unreadable),
    (Failure.KEY, key_meant),
    (Failure.MISSING, model_meant),
    (Failure.FILTERED, filter_meant),
)
"""what providers also call a bad request"""
_EXPLAINED: Final = (Failure.REJECTED, Failure.TOO_LONG)
_UNSENT: Final = ("pool", "connect")
_MAY_LACK: Final = (Failure.REJECTED, Failure.MISSING, Failure.SERVER)
"""OpenRouter says by 404 that no model has tools, llama.cpp by 500"""
_CALLED: Final = {"tools": "tools", "json_schema": "JSON schemas"}
_CHOOSE: Final = "choose another model: intelforge models check"


def translated(
    name: str,
    error: Exception,
    *,
    key: str,
    asked: ChatRequest,
    secrets: Collection[str] = (),
    unsent: bool = False,
    before: BaseException | None = None,
) -> ProviderError | EgressError:
    """One of our errors in place of a foreign one; `key` names the secret that the key is in.

    A reason in which one of the `secrets` stands is left out. `unsent` says that the library raised the error before
    anything was sent: then it could not write the request. `before` is the error that the caller was dealing with when
    the request was made, which Python notes as the context of all later ones.
    """
    ours = _ours(error, before)
    if ours is not None:
        return ours
    said = said_in(error.body) if isinstance(error, ModelAPIError) else ""
    status = error.status_code if isinstance(error, ModelHTTPError) else _status(error)
    kind = _kind(error, said, status, unknown=Failure.REJECTED if unsent else Failure.MALFORMED)
    lacks = lacking(said, asked) if kind in _MAY_LACK else frozenset()
    kind = Failure.REJECTED if lacks else kind
    what, hint = _told(kind, said, status, asked=asked, lacks=lacks)
    shown = f" (HTTP {status})" if status else ""
    why = reason(error.body, secrets) if kind in _EXPLAINED and not lacks and isinstance(error, ModelAPIError) else ""
    pull = f", or pull it: ollama pull {name.partition(':')[2]}" if name.startswith("ollama:") else ""
    found = failure(
        kind,
        f"{name} {what}{shown}{': ' if why else ''}{why}",
        hint=hint.format(key=key or "its key", pull=pull),
        retry_after=error.retry_after if isinstance(error, ModelAPIError) else None,
    )
    found.lacking, found.of_length = lacks, kind is Failure.REJECTED and length_meant(said)
    return found


def _kind(error: Exception, said: str, status: int, *, unknown: Failure) -> Failure:
    if 300 <= status < 400 or status in _NO_SUCH_API:
        return Failure.MISCALLED
    if status in _TOO_LARGE:
        return Failure.TOO_LONG
    if isinstance(error, ModelConnectionError) and error.phase in _UNSENT:
        return Failure.UNREACHABLE
    kind = next((kind for foreign, kind in _KINDS if isinstance(error, foreign)), unknown)
    if kind is Failure.SERVER and 400 <= status < 500 and status not in _PASSING:
        kind = Failure.REJECTED
    if kind is Failure.KEY and status == _FORBIDDEN and filter_meant(said):
        return Failure.FILTERED
    return next((meant for meant, means in _MEANT if means(said)), kind) if kind is Failure.REJECTED else kind


def _told(kind: Failure, said: str, status: int, *, asked: ChatRequest, lacks: frozenset[str]) -> tuple[str, str]:
    """What happened, and what to do about it."""
    if lacks:
        return f"has no {' and no '.join(_CALLED[one] for one in sorted(lacks))}", _CHOOSE
    if kind is Failure.REJECTED and (tool := tool_meant(said, asked)):
        return f"does not take the tool {tool!r} as it is described", f"mend its parameters, or {_CHOOSE}"
    if kind is Failure.REJECTED and schema_meant(said, asked):
        return "does not take the JSON schema of the reply", f"mend it, or {_CHOOSE}"
    if kind is Failure.MISCALLED:
        return _REDIRECTED if 300 <= status < 400 else _ASTRAY if status in _NO_SUCH_API else _MISREAD
    return _WORDS[kind]


def _status(error: Exception) -> int:
    found = getattr(error.__cause__, "status_code", 0)
    return found if isinstance(found, int) else 0


def _ours(error: BaseException | None, before: BaseException | None) -> ProviderError | EgressError | None:
    """What our own transport raised and the libraries above it have wrapped, if that is what happened."""
    while error is not None and error is not before:
        if isinstance(error, ProviderError | EgressError):
            return error
        error = error.__cause__ or error.__context__
    return None

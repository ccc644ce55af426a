"""Errors as OpenAI's clients expect them."""

import math
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from intelforge.core.errors import EgressError, ErrorCode, IntelForgeError, ModelError
from intelforge.interfaces.api.characters import encoded

TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
"""by HTTP status; any other is an `api_error`"""
HALVES: Final = ("hex escape", "invalid unicode")
"""how the parser names what is no character"""


def body_of(error: IntelForgeError) -> dict[str, object]:
    """The error without anything of what caused it."""
    return body(error.http_status, str(error), code=error.error_code.value)


def body(status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": TYPES.get(status, "api_error"), "param": param, "code": code}}


def reply(error: IntelForgeError) -> Response:
    return respond(error.http_status, body_of(error), _advice(error))


def _advice(error: IntelForgeError) -> dict[str, str]:
    """Whether a client should ask again, and when. What has been tried again here already should not be."""
    headers = {}
    tried = isinstance(error, ModelError | EgressError)
    if tried or not error.retryable:
        headers["x-should-retry"] = "false"
    after = error.retry_after if isinstance(error, ModelError) else None
    if after is not None and math.isfinite(after):
        headers["retry-after"] = str(math.ceil(after))
    return headers


def invalid(error: ValidationError) -> Response:
    """The first thing that is wrong with a request, by name."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or None
    message = f"{place}: {_said(first)}" if place else _said(first)
    return respond(400, body(400, message, code=ErrorCode.INVALID_INPUT.value, param=place))


def _said(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "json_invalid" and any(words in message for words in HALVES):
        return f"{message}: text must be UTF-8, and a \\u escape of a surrogate needs its other half after it"
    return message


async def unroutable(request: Request, error: Exception) -> Response:
    """What the framework refuses: paths and methods that do not exist, bodies that take too long."""
    if not isinstance(error, HTTPException):
        raise error
    asked = f"{request.method} {request.url.path[:60]}"
    if error.status_code == 404:
        message = f"there is no {asked}: ask POST /v1/chat/completions (GET /openapi.json lists the paths)"
    elif error.status_code == 405:
        message = f"there is no {asked}; this path takes {(error.headers or {}).get('Allow', 'another method')}"
    else:
        message = error.detail
    return respond(error.status_code, body(error.status_code, message), error.headers)


async def failed(_: Request, __: Exception) -> Response:
    """A fault of ours, which goes to the log."""
    message = "the server made a mistake; its log says which"
    return respond(500, body(500, message, code=ErrorCode.INTERNAL.value))


def respond(status: int, content: dict[str, object], headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(content), status, headers, media_type="application/json")

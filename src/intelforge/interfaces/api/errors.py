"""Errors as OpenAI's clients expect them."""

import json
from typing import Final

from pydantic import ValidationError
from starlette.responses import Response

from intelforge.core.errors import ErrorCode, IntelForgeError

TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
"""by HTTP status; any other is an `api_error`"""


def body_of(error: IntelForgeError) -> dict[str, object]:
    """The error without anything of what caused it."""
    return body(error.http_status, str(error), code=error.error_code.value)


def body(status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": TYPES.get(status, "api_error"), "param": param, "code": code}}


def reply(error: IntelForgeError) -> Response:
    return respond(error.http_status, body_of(error))


def invalid(error: ValidationError) -> Response:
    """The first thing that is wrong with a request, by name."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or None
    message = f"{place}: {first['msg']}" if place else first["msg"]
    return respond(400, body(400, message, code=ErrorCode.INVALID_INPUT.value, param=place))


def respond(status: int, content: dict[str, object]) -> Response:
    return Response(json.dumps(content), status_code=status, media_type="application/json")

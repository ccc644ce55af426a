"""The bodies of requests, within their limits."""

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.interfaces.api.leaving import GoneError
from intelforge.interfaces.api.limits import Limits

JSON: Final = "application/json"
MIB: Final = 1024 * 1024


async def read_json(request: Request, limits: Limits) -> bytes:
    """The body. A web page of elsewhere cannot send JSON without being asked first, so nothing else is read.

    Raises IntelForgeError for what is no JSON, too large, or given up, and HTTPException (408) when it takes too long.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise IntelForgeError("the body is not JSON", hint=f"send it as {JSON}", code=ErrorCode.UNSUPPORTED)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _whole(request, limits.body_bytes)
    except TimeoutError:
        message = f"the body was not there within {limits.body_seconds:g} s; send it faster, or less"
        raise HTTPException(408, message, {"connection": "close"}) from None
    except ClientDisconnect:
        raise GoneError("the client went away") from None


async def _whole(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            message = f"the request is larger than {most / MIB:g} MiB"
            raise IntelForgeError(message, hint="send less", code=ErrorCode.TOO_LARGE)
        parts.append(part)
    return b"".join(parts)

"""Requests to a model behind an HTTP API: tried again when a failure may pass, errors translated."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import httpx2

from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import EgressError, ErrorCode, ModelError

Result = TypeVar("Result")

WAITED_FOR_ATTEMPTS: Final = 2
"""where someone waits for the answer"""
_TOO_LONG: Final = re.compile(
    r"(context|input|prompt|token|sequence|batch)[^.]{0,80}(length|long|large|size|exceed|maximum|limit)"
    r"|must have less than|too (many|large|long)|maximum allowed",
    re.IGNORECASE,
)
"""How servers say that a text, or all the texts of a request, are too long."""
_NO_CREDIT: Final = "insufficient_quota"
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class PassingError(ModelError):
    """A failure that may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and when a request is tried again: exponential backoff with full jitter."""

    attempts: int = 5
    first: float = 0.5
    """seconds; doubled with each attempt"""
    most: float = 30.0
    """seconds; a server that asks to wait longer is not waited for"""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    clock: Clock = utc_now

    def delay(self, attempt: int, error: PassingError) -> float:
        """Seconds to wait after the failed attempt of this number, counted from 1."""
        return max(error.retry_after or 0.0, min(self.most, self.first * 2.0 ** (attempt - 1)) * self.jitter())


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelApi:
    """One URL of a model's API."""

    setting: str
    """that names it"""
    name: str
    url: str
    key: str = field(default="", repr=False)
    client: Callable[[], httpx2.AsyncClient]
    patience: Patience = field(default_factory=Patience)

    async def tried(self, attempt: Callable[[], Awaitable[Result]], *, attempts: int) -> Result:
        """What the attempt gives at last. Raises what it raises when that does not pass, or not in time."""
        number = 1
        while True:
            try:
                return await attempt()
            except PassingError as error:
                if number >= attempts or (error.retry_after or 0.0) > self.patience.most:
                    raise
                delay = self.patience.delay(number, error)
            await self.patience.sleep(delay)
            number += 1

    async def post(self, body: bytes) -> bytes:
        """The reply to a JSON body. Raises ModelError, TOO_LARGE when the server finds it too long."""
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        try:
            response = await self.client().post(self.url, content=body, headers=headers)
        except httpx2.TimeoutException as error:
            late = PassingError(
                f"{self.name} did not answer in time",
                hint="raise llm_timeout, or choose a smaller model",
                code=ErrorCode.TIMED_OUT,
            )
            late.may_cost = not isinstance(error, _NOT_SENT)
            raise late from error
        except httpx2.HTTPError as error:
            lost = PassingError(
                f"{self.name} cannot be reached: {type(error).__name__}",
                hint="start its server, or check the connection",
                code=ErrorCode.UNREACHABLE,
            )
            lost.may_cost = not isinstance(error, _NOT_SENT)
            raise lost from error
        except EgressError as error:
            kind = PassingError if error.retryable else ModelError
            raise kind(f"{self.name}: {error.message}", hint=error.hint, code=error.error_code) from error
        if response.status_code != 200:
            raise self._refusal(response)
        return response.content

    def _refusal(self, response: httpx2.Response) -> ModelError:
        """What a status means. The server's own words are left out: they may repeat the text or a part of the key."""
        name, status = self.name, response.status_code
        if status in (401, 403):
            return ModelError(
                f"{name} refused the key (HTTP {status})",
                hint="check the key and what it may use",
                code=ErrorCode.REFUSED,
            )
        if status == 404:
            return ModelError(
                f"{name} is not there (HTTP 404)",
                hint="check the name of the model and the address of its server, or pull it: ollama pull NAME",
                code=ErrorCode.MISSING_MODEL,
            )
        if status == 429 and _NO_CREDIT in response.text:
            return ModelError(f"{name} has no credit left", hint="top up the account", code=ErrorCode.REFUSED)
        if status in (400, 413, 422, 500) and _TOO_LONG.search(response.text):
            return ModelError(
                f"{name} cannot read so much at once", hint="lower chunk_tokens", code=ErrorCode.TOO_LARGE
            )
        if status in (408, 409, 425, 429) or status >= 500:
            code = ErrorCode.RATE_LIMITED if status == 429 else None
            error = PassingError(
                f"{name} failed (HTTP {status})", hint="try again later, or choose another model", code=code
            )
            error.retry_after = self._wait(response.headers.get("retry-after", ""))
            return error
        return ModelError(
            f"{name} refused the request (HTTP {status})",
            hint=f"check the {self.setting}'s URL",
            code=ErrorCode.REFUSED,
        )

    def _wait(self, header: str) -> float | None:
        """Seconds that `Retry-After` asks for, given as a number or a date; None when it says nothing."""
        try:
            return max(0.0, float(header))
        except ValueError:
            pass
        try:
            return max(0.0, (parsedate_to_datetime(header) - self.patience.clock()).total_seconds())
        except (ValueError, TypeError):
            return None


@contextmanager
def answered() -> Iterator[None]:
    """Around the reading of a reply: what fails now does so after the server has done its work."""
    try:
        yield
    except ModelError as error:
        error.may_cost = True
        raise


def sendable(text: str) -> str:
    """The text as JSON may hold it: lone surrogates become `?`, and nothing but space, which servers refuse, a dot."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return clean if clean.strip() else "."

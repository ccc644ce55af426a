"""One request to an embedding model: entered in the books, tried again when its failure may pass, errors translated."""

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2
import numpy as np

from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import EgressError, ErrorCode, ModelError
from intelforge.index.embedders.context import EmbedderContext, EmbeddingCall
from intelforge.index.embedders.endpoint import Endpoint, Reply
from intelforge.index.embedders.pieces import estimated_tokens
from intelforge.index.protocol import TextKind, Vectors

_TOO_LONG: Final = re.compile(
    r"(context|input|prompt|token|sequence|batch)[^.]{0,80}(length|long|large|size|exceed|maximum|limit)"
    r"|must have less than|too (many|large|long)|maximum allowed",
    re.IGNORECASE,
)
"""How servers say that a text, or all the texts of a request, are too long."""
_NO_CREDIT: Final = "insufficient_quota"


class PassingError(ModelError):
    """A failure that may pass."""

    after = 0.0
    """seconds that the server asked to wait"""


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
        return max(error.after, min(self.most, self.first * 2.0 ** (attempt - 1)) * self.jitter())


QUERY_ATTEMPTS: Final = 2


class Requests:
    """Sends batches to one endpoint."""

    def __init__(self, endpoint: Endpoint, context: EmbedderContext, *, patience: Patience | None = None) -> None:
        self._endpoint = endpoint
        self._context = context
        self._patience = patience or Patience()

    async def send(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Vectors as the server gave them, shape (len(texts), any), in order.

        Raises ModelError, TOO_LARGE when the server finds the texts too long or too many.
        """
        patience = self._patience
        attempts = QUERY_ATTEMPTS if kind is TextKind.QUERY else patience.attempts
        attempt = 1
        while True:
            try:
                return await self._once(texts, kind)
            except PassingError as error:
                if attempt >= attempts or error.after > patience.most:
                    raise
                delay = patience.delay(attempt, error)
            await patience.sleep(delay)
            attempt += 1

    async def _once(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        endpoint = self._endpoint
        tokens = sum(map(estimated_tokens, texts))
        call = EmbeddingCall(provider=endpoint.provider, model=endpoint.model, tokens=tokens, local=endpoint.local)
        async with self._context.meter(call) as spent:
            content = await self._post(json.dumps(endpoint.body(texts, kind)).encode())
            # A reply is megabytes of numbers: reading it takes tens of milliseconds.
            reply = await asyncio.to_thread(self._read, content, len(texts))
            spent.input_tokens = tokens if reply.tokens is None else reply.tokens
        return reply.vectors

    async def _post(self, body: bytes) -> bytes:
        endpoint = self._endpoint
        headers = {"content-type": "application/json", "accept": "application/json"}
        if endpoint.key:
            headers["authorization"] = f"Bearer {endpoint.key}"
        try:
            response = await self._context.client().post(endpoint.url, content=body, headers=headers)
        except httpx2.TimeoutException as error:
            raise PassingError(
                f"{endpoint.name} did not answer in time",
                hint="raise llm_timeout, or choose a smaller model",
                code=ErrorCode.TIMED_OUT,
            ) from error
        except httpx2.HTTPError as error:
            raise PassingError(
                f"{endpoint.name} cannot be reached: {type(error).__name__}",
                hint="start its server, or check the connection",
                code=ErrorCode.UNREACHABLE,
            ) from error
        except EgressError as error:
            kind = PassingError if error.retryable else ModelError
            raise kind(f"{endpoint.name}: {error.message}", hint=error.hint, code=error.error_code) from error
        if response.status_code != 200:
            raise self._refusal(response)
        return response.content

    def _refusal(self, response: httpx2.Response) -> ModelError:
        """What a status means. The server's own words are left out: they may repeat the text or a part of the key."""
        name, status = self._endpoint.name, response.status_code
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
            error = PassingError(f"{name} failed (HTTP {status})", hint="try again later, or choose another model")
            error.after = self._wait(response.headers.get("retry-after", ""))
            return error
        return ModelError(
            f"{name} refused the request (HTTP {status})", hint="check the embedder's URL", code=ErrorCode.REFUSED
        )

    def _wait(self, header: str) -> float:
        """Seconds that `Retry-After` asks for, given as a number or a date; 0.0 when it says nothing."""
        try:
            return max(0.0, float(header))
        except ValueError:
            pass
        try:
            return max(0.0, (parsedate_to_datetime(header) - self._patience.clock()).total_seconds())
        except (ValueError, TypeError):
            return 0.0

    def _read(self, content: bytes, expected: int) -> Reply:
        try:
            reply = self._endpoint.read(json.loads(content))
            if reply.vectors.ndim != 2 or not np.isfinite(reply.vectors).all():
                raise ValueError("not vectors")
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{self._endpoint.name} gave no usable reply",
                hint="check that its server has this API, and that the model is one for embeddings",
            ) from error
        if len(reply.vectors) != expected:
            raise ModelError(
                f"{self._endpoint.name} gave {len(reply.vectors)} vectors for {expected} texts",
                hint="try again, or choose another model",
            )
        return reply

"""One request to an embedding model: entered in the books, tried again when its failure may pass, its reply checked."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final

import numpy as np

from intelforge.core.errors import ModelError
from intelforge.index.embedders.endpoint import Endpoint, Reply
from intelforge.index.embedders.pieces import estimated_tokens
from intelforge.index.embedders.url import SETTING
from intelforge.index.model_api import WAITED_FOR_ATTEMPTS, Patience, answered
from intelforge.index.model_context import ModelContext
from intelforge.index.protocol import TextKind, Vectors

READ_AT_ONCE_BYTES: Final = 50_000
"""which takes about a millisecond; a batch is megabytes of numbers, and takes tens of them"""


class Requests:
    """Sends batches to one endpoint."""

    def __init__(self, endpoint: Endpoint, context: ModelContext, *, patience: Patience | None = None) -> None:
        self._endpoint = endpoint
        self._context = context
        self._api = endpoint.api(SETTING.name, context, patience or Patience())

    async def send(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Vectors as the server gave them, shape (len(texts), any), in order.

        Raises ModelError, TOO_LARGE when the server finds the texts too long or too many.
        """
        attempts = WAITED_FOR_ATTEMPTS if kind is TextKind.QUERY else self._api.patience.attempts
        return await self._api.tried(lambda: self._once(texts, kind), attempts=attempts)

    async def _once(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        endpoint = self._endpoint
        tokens = sum(map(estimated_tokens, texts))
        async with self._context.meter(endpoint.call("embed", tokens=tokens)) as spent:
            content = await self._api.post(json.dumps(endpoint.body(texts, kind)).encode())
            with answered():
                if len(content) > READ_AT_ONCE_BYTES:
                    reply = await asyncio.to_thread(self._read, content, len(texts))
                else:
                    reply = self._read(content, len(texts))
            if reply.tokens is not None:
                spent.input_tokens = reply.tokens
        return reply.vectors

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

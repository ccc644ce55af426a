"""Clients that go away: what is done for them is given up, up to the provider."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, suppress
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from intelforge.core.errors import ErrorCode, IntelForgeError

Given = TypeVar("Given")


class GoneError(IntelForgeError):
    """Nobody is there to be answered."""

    code = ErrorCode.INTERRUPTED


class ServerSentEvents(StreamingResponse):
    """A stream that ends with its client: the generator is closed when this is over, however it ends."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            with suppress(GoneError):
                await unless_gone(Request(scope, receive), self.stream_response(send))


async def unless_gone(request: Request, work: Awaitable[Given]) -> Given:
    """What the work gives. Raises GoneError when the client goes away, with the work cancelled."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise GoneError("the client went away")
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

"""A `ModelServer` in a thread of its own: for fixtures that are not asynchronous, and for tests that block."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from intelforge.testing.model_server import ModelServer, Respond


@contextmanager
def served(respond: Respond) -> Iterator[str]:
    """The URL of a server that answers by `respond`, which is called in the server's thread."""
    opened: SimpleQueue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = SimpleQueue()

    async def serve() -> None:
        async with ModelServer(respond) as server:
            done = asyncio.Event()
            opened.put((server.url, asyncio.get_running_loop(), done))
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    url, loop, done = opened.get(timeout=30)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(timeout=30)

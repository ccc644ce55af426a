"""Watching what cannot tell that it changed: a look at intervals."""

import asyncio
from collections.abc import AsyncGenerator

from intelforge.core.errors import InvalidInputError
from intelforge.core.values import Source


def interval_of(source: Source, default: float) -> float:
    """Seconds between looks, from the option `interval`. Raises InvalidInputError."""
    text = source.options.get("interval", "")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidInputError(f"interval {text!r} of {source.uri} is not a time", hint="give seconds above 0")
    return seconds


async def every(seconds: float, closed: asyncio.Event) -> AsyncGenerator[None]:
    """Yields after each interval until `closed` is set."""
    while not closed.is_set():
        try:
            await asyncio.wait_for(closed.wait(), seconds)
        except TimeoutError:
            yield None

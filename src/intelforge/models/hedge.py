"""A second request where the first is slow: whichever speaks first is heard, the other is given up."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from intelforge.core.chat import Done, StreamEvent

Events = AsyncGenerator[StreamEvent, None]


async def hedged(first: Events, second: Callable[[], Events | None], *, seconds: float) -> Events:
    """The events of `first`, or those of `second` when that one speaks first.

    `second` is asked for when `first` has said nothing for so many seconds; it gives None when there is none. The one
    that is not heard has been given up, and what it cost is settled, when the last event comes. Raises what the first
    one raised when neither gives anything.
    """
    running: dict[asyncio.Task[StreamEvent], Events] = {_begin(first): first}
    try:
        await asyncio.wait(running, timeout=seconds)
        if not next(iter(running)).done() and (spare := second()) is not None:
            running[_begin(spare)] = spare
        winner = await _first_to_speak(list(running))
        heard = running.pop(winner)
        giving_up = asyncio.gather(*(_give_up(task, events) for task, events in running.items()))
        running = {}
        try:
            async with aclosing(heard):
                event = winner.result()
                while not isinstance(event, Done):
                    yield event
                    event = await anext(heard)
        finally:
            await giving_up
        yield event
    finally:
        await asyncio.gather(*(_give_up(task, events) for task, events in running.items()))


def _begin(events: Events) -> "asyncio.Task[StreamEvent]":
    async def begun() -> StreamEvent:
        return await anext(events)

    task = asyncio.ensure_future(begun())
    task.add_done_callback(_seen)
    return task


def _seen(task: "asyncio.Task[StreamEvent]") -> None:
    """Nobody looks at the error of one that is given up by a caller who leaves."""
    if not task.cancelled():
        task.exception()


async def _first_to_speak(tasks: "list[asyncio.Task[StreamEvent]]") -> "asyncio.Task[StreamEvent]":
    """The first that ends well; when none does, what the first of them raised is raised."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and not task.exception():
                return task
    tasks[0].result()
    raise RuntimeError("a task that failed has a result")


async def _give_up(task: "asyncio.Task[StreamEvent]", events: Events) -> None:
    task.cancel()
    await asyncio.wait([task])
    await events.aclose()

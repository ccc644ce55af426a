"""A look at the models when a server starts: what is not well is said at once, and nothing waits for it."""

import asyncio
import logging
import multiprocessing
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from intelforge.core.errors import IntelForgeError
from intelforge.core.model_reports import ModelCheck

LOG: Final = logging.getLogger("intelforge.serve")
"""goes to standard error unless the program that serves has set it up otherwise"""
FIRST: Final = ("MainProcess", "SpawnProcess-1")
"""names of the process of a server that is alone, and of the first of several"""


@asynccontextmanager
async def looking(unwell: Callable[[], Awaitable[Sequence[ModelCheck]]]) -> AsyncIterator[None]:
    """Looks at the models once, while the block runs: a line in the log for each that is not well.

    `unwell` finds those. Of several processes the first looks.
    """
    if multiprocessing.current_process().name not in FIRST:
        yield
        return
    task = asyncio.create_task(_look(unwell))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _look(unwell: Callable[[], Awaitable[Sequence[ModelCheck]]]) -> None:
    try:
        for check in await unwell():
            LOG.warning("%s", "; ".join(filter(None, (check.problem, check.hint))))
    except IntelForgeError as error:
        LOG.warning("the models cannot be looked at: %s", error)

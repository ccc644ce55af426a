"""Ctrl-C: the first asks for a clean stop, the next one cancels."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


STOPPING = "stopping after the running batch; press Ctrl-C again to stop at once"


class Interrupts:
    """Counts interrupts while `watching`. Without a `stop` the first one cancels."""

    def __init__(
        self, *, stop: Callable[[], None] | None = None, say: Callable[[str], None], stopping: str = STOPPING
    ) -> None:
        """The first one is answered with `stopping`."""
        self.stop = stop
        self._say = say
        self._stopping = stopping
        self.stopped = False
        """whether a clean stop was asked for"""

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Takes SIGINT for the running task of the running loop, and gives it back."""
        import asyncio  # not for `--help`, which is to come at once

        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("interrupts are watched from within a task")

        def interrupted(_number: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._interrupted, task)

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupted(self, task: "asyncio.Task[object]") -> None:
        if self.stop is None or self.stopped:
            # The process ends now: what the threads of a driver say of the closed loop helps no one.
            threading.excepthook = lambda _: None
            task.cancel()
            return
        self.stopped = True
        self._say(self._stopping)
        self.stop()

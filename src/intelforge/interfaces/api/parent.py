"""The process that started this one, where a server has several."""

import asyncio
import multiprocessing
import signal
import threading
from contextlib import suppress


def stop_with_parent() -> None:
    """Has this server stop, as when it is asked to, once the process that started it is gone, however that ended.

    A server that is alone goes on. Call it on the server's event loop; returns at once.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()

    def wait() -> None:
        parent.join()
        with suppress(RuntimeError):  # the loop is closed: it stopped meanwhile
            loop.call_soon_threadsafe(signal.raise_signal, signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()

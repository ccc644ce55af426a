"""The worker process: refines one item after another from standard input, under a memory limit.

Started by `pool` as `python -P -m intelforge.refine.worker '<options as JSON>'`. It ends when its parent closes the
pipe or dies, and when it has grown too large to keep.
"""

import ctypes
import json
import os
import platform
import signal
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

from intelforge.core.errors import ItemError
from intelforge.core.values import Document, Item
from intelforge.refine.document import refine
from intelforge.refine.protocol import TokenCounter
from intelforge.refine.tokens import token_counter
from intelforge.refine.wire import encode_reply, read_item, write_frame

READY = b"ready"
RETIRE_MB = 256
"""A worker whose memory once went beyond this ends after its reply, to give it back."""
PARENT_CHECK_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1


def main() -> None:
    options = json.loads(sys.argv[1])
    requests, replies = _private_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent(options["parent"])
    _limit_memory(options["memory_mb"])
    tokenizer = options["tokenizer"]
    count = token_counter(Path(tokenizer) if tokenizer else None)
    write_frame(replies, READY)
    while (item := read_item(requests)) is not None:
        outcome = _outcome(item, count, options["chunk_tokens"])
        retire = _peak_mb() > RETIRE_MB
        write_frame(replies, encode_reply(outcome, retire=retire))
        if retire:
            return


def _outcome(item: Item, count: TokenCounter, max_tokens: int) -> Document | ItemError:
    try:
        return refine(item, count=count, max_tokens=max_tokens)
    except ItemError as error:
        return error


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for the protocol alone: what a library prints goes to standard error."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return requests, replies


def _end_with_parent(parent: int) -> None:
    """Linux kills the worker with its parent; elsewhere on Unix a thread looks for it now and then.

    An idle worker ends by itself when the pipe closes; this is for one that is busy.
    """
    if platform.system() == "Windows":
        return
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


def _limit_memory(megabytes: int) -> None:
    """Private writable memory where the system can limit that, so that mapped libraries do not count."""
    if platform.system() == "Windows":
        return
    import resource

    limit = megabytes * 1024 * 1024
    kind = resource.RLIMIT_DATA if platform.system() == "Linux" else resource.RLIMIT_AS
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _peak_mb() -> float:
    """The most memory that was resident. Not from getrusage: on Linux that counts what the parent had before exec."""
    if platform.system() == "Linux":
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024
    if platform.system() == "Windows":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024


if __name__ == "__main__":
    main()

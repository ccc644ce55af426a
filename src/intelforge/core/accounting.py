"""For whom this task works: calls that it makes on the way, to embed, rerank or summarise, are entered under that name.

Tasks that are begun meanwhile inherit it. Work for many at once, such as a sync, is nobody's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Final

from intelforge.core.chat import Accounting

NOBODY: Final = Accounting()
_CALLER: Final = ContextVar("caller", default=NOBODY)


@contextmanager
def on_behalf_of(caller: Accounting) -> Iterator[None]:
    """Works for this user, team and run within the block, which must not yield to its own caller."""
    token = _CALLER.set(caller)
    try:
        yield
    finally:
        _CALLER.reset(token)


def accounting_for(purpose: str) -> Accounting:
    """Of a call that is made on the way: whom this task works for, and what the call is for."""
    return replace(_CALLER.get(), purpose=purpose)

"""What tests of the response cache share."""

from collections.abc import Callable
from dataclasses import dataclass

from intelforge.models.response_cache.protocol import ReplyStore

OpenStore = Callable[..., ReplyStore]
"""Opens a store; all that it opens share what they keep."""


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now

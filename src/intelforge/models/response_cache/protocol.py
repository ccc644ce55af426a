"""The contract of a store of replies. None of it raises: a store that is gone is told by `trouble`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question whose reply is kept."""

    key: bytes
    """of its request"""
    text: str
    vector: bytes
    """float32, little-endian"""


class ReplyStore(Protocol):
    """Keeps bytes by key for a time, up to a size; those longest unused go first."""

    @property
    def trouble(self) -> str:
        """Why the last call did nothing; empty when it worked."""
        ...

    async def get(self, key: bytes) -> bytes | None: ...

    async def put(self, key: bytes, value: bytes, *, question: Question | None = None, frame: bytes = b"") -> None:
        """Keeps a value, and the question it answers among those of its frame."""
        ...

    async def questions(self, frame: bytes) -> Sequence[Question]:
        """The newest questions of a frame, up to a limit of the store's."""
        ...

    async def clear(self) -> int:
        """Forgets everything; how many replies that were."""
        ...

    async def count(self) -> int: ...

    async def close(self) -> None: ...

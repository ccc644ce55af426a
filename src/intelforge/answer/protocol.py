"""What answering needs from the outside: a library to search and read, and who embeds and judges sentences."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from intelforge.core.search import SearchResult

Embed = Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]
"""Vectors of the texts in their order: shape (len(texts), dimensions), rows of unit length."""

Judge = Callable[[str, float], None]
"""Is told how well the reply of a routed call, by its id, is borne out by what it cites: from 0 to 1."""


class Library(Protocol):
    """The documents a question may be answered from: those its asker may see."""

    async def search(self, question: str, *, limit: int) -> SearchResult:
        """The best chunks for the question, best first."""
        ...

    async def text(self, document_id: str) -> str:
        """The full text of a document, the one that the hits' offsets count in.

        Raises NotFoundError when it went away since the search; its hits are then left out.
        """
        ...

    async def local_only(self, document_ids: Collection[str]) -> Collection[str]:
        """Those of these documents that may only go to models on this machine."""
        ...

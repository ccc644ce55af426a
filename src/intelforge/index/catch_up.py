"""While embeddings are still coming in: the best candidates by words that have no vector yet are embedded at once.

The embedder is behind its cache, so what is embedded here is kept, and embedding in the background finds it there.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from intelforge.core.errors import ModelError
from intelforge.index.center import Center
from intelforge.index.protocol import Embedder, Scored, TextKind, VectorStore
from intelforge.index.rerank import MOST
from intelforge.store.documents import Documents, chunk_value

SHARE: Final = 0.5
"""of the time that is left, at the most; the rest is for the closer look"""
STEPS: Final = 16
"""calls in which as many texts are embedded as the embedder takes at once: what is done when the time is up counts"""


@dataclass(slots=True, kw_only=True)
class TimeLeft:
    """Seconds for more than one thing, counted while they are spent."""

    seconds: float
    now: Callable[[], float] = time.monotonic

    @contextmanager
    def spending(self) -> Iterator[None]:
        began = self.now()
        try:
            yield
        finally:
            self.seconds = max(0.0, self.seconds - (self.now() - began))


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """Embeds candidates while a search is under way."""

    documents: Documents
    store: VectorStore
    embedder: Embedder
    center: Center | None
    embedded: float
    """the share of all chunks that have a vector, in [0, 1]"""
    time_left: TimeLeft

    async def __call__(
        self, query: str, lexical: Sequence[Scored], vector: Sequence[Scored], *, depth: int
    ) -> tuple[list[Scored], float]:
        """What the vector part would have found, best first and up to `depth`, had the store these vectors too; and
        the share of chunks to take as embedded, in [0, 1]: of the best by words when that is more than of all.
        """
        best = lexical[:MOST]
        seen = {hit.chunk_id for hit in vector}
        unseen = [hit for hit in best if hit.chunk_id not in seen]
        held = await self.store.vectors([hit.chunk_id for hit in unseen])
        withheld = await withheld_from(self.embedder, self.documents, {hit.document_id for hit in unseen})
        missing = [hit for hit in unseen if hit.chunk_id not in held]
        allowed = [hit.chunk_id for hit in missing if hit.document_id not in withheld]
        cosines = await self._cosines(query, allowed) if allowed else {}
        fresh = [replace(hit, score=cosines[hit.chunk_id]) for hit in missing if hit.chunk_id in cosines]
        both = sorted([*vector, *fresh], key=lambda hit: (-hit.score, hit.chunk_id))
        known = 1 - (len(missing) - len(fresh)) / len(best) if best else 0.0
        return both[:depth], max(self.embedded, known) if both else self.embedded

    async def _cosines(self, query: str, chunk_ids: Sequence[str]) -> dict[str, float]:
        """To the query, by chunk id, from the first on, of as many as there is time for."""
        found: dict[str, float] = {}
        texts = await texts_of(self.documents, chunk_ids)
        ids, step = list(texts), max(1, self.embedder.at_once // STEPS)

        async def embed(few: Sequence[str]) -> None:
            with suppress(ModelError):
                vectors = await self.embedder.embed([texts[chunk_id] for chunk_id in few])
                found.update(zip(few, (vectors @ asked).tolist(), strict=True))

        with self.time_left.spending(), suppress(ModelError, TimeoutError):
            async with asyncio.timeout(self.time_left.seconds * SHARE):
                [asked] = await self.embedder.embed([query], kind=TextKind.QUERY)
                asked = self.center.leave(asked) if self.center else asked
                async with asyncio.TaskGroup() as tasks:
                    for start in range(0, len(ids), step):
                        tasks.create_task(embed(ids[start : start + step]))
        return found


async def withheld_from(embedder: Embedder, documents: Documents, document_ids: Collection[str]) -> set[str]:
    """Those of these documents whose text the embedder may not be given, because it is not on this machine."""
    return set() if embedder.local else await documents.local_only(document_ids)


async def texts_of(documents: Documents, chunk_ids: Sequence[str]) -> Mapping[str, str]:
    """What is embedded of these chunks, by id, in their order; those that are gone are left out."""
    places = {chunk_id: chunk_id.rpartition(":") for chunk_id in chunk_ids}
    keys = {chunk_id: (document_id, int(ordinal)) for chunk_id, (document_id, _, ordinal) in places.items()}
    rows = await documents.chunks(list(keys.values()))
    texts = await documents.texts({document_id for document_id, _ in keys.values()})
    return {
        chunk_id: chunk_value(rows[key], texts[key[0]][1]).embedding_text
        for chunk_id, key in keys.items()
        if key in rows and key[0] in texts
    }

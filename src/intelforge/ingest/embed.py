"""Embeds what is searchable by words only, in the background, and can stop and go on at any chunk."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from intelforge.core.reports import Progress, Stage
from intelforge.core.values import Chunk
from intelforge.index.catch_up import withheld_from
from intelforge.index.center import Center, load_center, save_center
from intelforge.index.protocol import Vectors, VectorStore
from intelforge.ingest.chunk_vectors import ChunkVectors
from intelforge.ingest.index import LEASE as INDEX_LEASE
from intelforge.jobs.leases import LeaseHolder, NotHeldError
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.standings import Standings

LEASE = "embedding"
RATE_FACT = "embedding_rate"
WINDOW = 128
"""chunks embedded between two commits"""
WAITING = 1024
"""documents asked for at once"""
LOADED = 16
"""documents read at once"""
MAINTAIN_EVERY = 100
"""windows; many small appends make searches slow"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some chunks to embed, those of one document side by side and in order."""

    chunks: Sequence[Chunk]

    @property
    def progress(self) -> dict[str, tuple[int, int]]:
        """How many chunks of each document have a vector before and after."""
        found: dict[str, tuple[int, int]] = {}
        for chunk in self.chunks:
            first, _ = found.get(chunk.document_id, (chunk.ordinal, 0))
            found[chunk.document_id] = (first, chunk.ordinal + 1)
        return found


class Embedding:
    """Embeds every current chunk that has no vector of this embedder, one process at a time.

    An embedder that is not on this machine is not given the documents that may only go to local models.
    """

    def __init__(
        self,
        documents: Documents,
        standings: Standings,
        store: VectorStore,
        vectors: ChunkVectors,
        leases: LeaseHolder,
        *,
        facts: Facts,
    ) -> None:
        self._documents = documents
        self._standings = standings
        self._store = store
        self._vectors = vectors
        self._embedder = vectors.embedder
        self._leases = leases
        self._facts = facts

    async def run(self, *, report: Callable[[Progress], None], stopped: Callable[[], bool]) -> int:
        """Embeds until nothing is left or `stopped`; returns the number of chunks embedded here."""
        try:
            async with self._leases.hold(LEASE, detail="embedding", stopped=stopped):
                return await self._embed_all(report, stopped)
        except NotHeldError:
            return 0

    async def left(self) -> int:
        """Chunks that are still to be embedded; those that the embedder may not be given are not."""
        return (await self._standings.counts()).left(local=self._embedder.local)

    async def _embed_all(self, report: Callable[[Progress], None], stopped: Callable[[], bool]) -> int:
        counts = await self._standings.counts()
        missing, done, windows, began = counts.left(local=self._embedder.local), 0, 0, time.monotonic()
        async with aclosing(self._windows()) as found:
            async for whole in found:
                window = await self._allowed(whole)
                if not window.chunks:
                    continue
                vectors = None if stopped() else await self._vectors.of(window.chunks, stopped)
                if vectors is None:
                    break
                await self._keep(window, vectors)
                done += len(window.chunks)
                windows += 1
                rate = done / (time.monotonic() - began)
                left = max(0, missing - done)
                report(
                    Progress(
                        stage=Stage.EMBEDDING,
                        done=counts.embedded + missing - left,
                        total=counts.embedded + missing,
                        unit="chunks",
                        rate=rate,
                        eta=left / rate,
                    )
                )
                await self._facts.set(RATE_FACT, f"{rate:.2f}")
                await self._note_center(vectors)
                if windows % MAINTAIN_EVERY == 0:
                    await self._maintain()
        if windows and not stopped():
            await self._maintain()
        return done

    async def _windows(self) -> AsyncGenerator[Window]:
        """What is to be embedded, until nothing is left. Each window must be kept before the next is asked for."""
        while waiting := await self._standings.unembedded(limit=WAITING, local=self._embedder.local):
            embedded, chunks = dict(waiting), list[Chunk]()
            for start in range(0, len(waiting), LOADED):
                for document in await self._documents.load([one for one, _ in waiting[start : start + LOADED]]):
                    chunks.extend(document.chunks[embedded[document.id] :])
                while len(chunks) >= WINDOW:
                    yield Window(chunks=chunks[:WINDOW])
                    del chunks[:WINDOW]
            if chunks:
                yield Window(chunks=chunks)

    async def _allowed(self, window: Window) -> Window:
        """Without what the embedder may not be given, by what is said of the sources now."""
        withheld = await withheld_from(self._embedder, self._documents, window.progress)
        return Window(chunks=[chunk for chunk in window.chunks if chunk.document_id not in withheld])

    async def _keep(self, window: Window, vectors: Vectors) -> None:
        async with self._leases.hold(INDEX_LEASE, detail="adding vectors"):
            fit = await self._standings.embedded_up_to({key: first for key, (first, _) in window.progress.items()})
            kept = [row for row, chunk in enumerate(window.chunks) if chunk.document_id in fit]
            if kept:
                about = await self._documents.attributes(fit)
                await self._store.add_vectors([window.chunks[row].id for row in kept], vectors[kept], about)
            done = {key: last for key, (_, last) in window.progress.items() if key in fit}
            await self._standings.set_embedded(done)

    async def _note_center(self, vectors: Vectors) -> None:
        before = await load_center(self._facts, self._embedder.name)
        new = Center.of(vectors)
        await save_center(self._facts, self._embedder.name, before.joined(new) if before else new)

    async def _maintain(self) -> None:
        async with self._leases.hold(INDEX_LEASE, detail="folding the index"):
            await self._store.maintain()

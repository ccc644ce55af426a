"""IntelForge's own search over one vector store.

`whole` is the hybrid search as the product makes it, the question embedded; the other kinds are given its vector, as
the peers are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from protocol import tell
from search_protocol import GROUP, LIMIT, Search, SearchJob, read_search_job, time_kinds

from intelforge.core.registry import load_backend
from intelforge.core.values import Attributes, Chunk
from intelforge.index.center import Center
from intelforge.index.protocol import Embedder, Filter, TextKind, Vectors, VectorStore
from intelforge.index.search import Index, search

MODEL = "onnx:all-MiniLM-L6-v2"
CENTERED = 20_000
"""vectors the centre is taken of"""
EVERYONE = frozenset({"principal:*"})


class Given:
    """An embedder that has been told the vectors of all it will be asked."""

    name = "given"
    at_once = 1
    local = True
    tokenizer: Path | None = None

    def __init__(self, vectors: Mapping[str, Vectors]) -> None:
        self._vectors = vectors

    @property
    def dimensions(self) -> int:
        return len(next(iter(self._vectors.values())))

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        return np.array([self._vectors[text] for text in texts])


async def build(job: SearchJob) -> None:
    async with load_backend("vector_stores", job.index)(job.index, root=Path(job.state)) as store:
        tell("ready")
        for rows, vectors in job.batches():
            about = {row["document_id"]: Attributes(labels=EVERYONE | {f"source:{row.pop('group')}"}) for row in rows}
            await store.add([Chunk(**row) for row in rows], about)
            await store.add_vectors([row["id"] for row in rows], vectors, about)
        tell("added")
        await store.maintain()
        tell("built")


def kinds(store: VectorStore, job: SearchJob) -> dict[str, Callable[[str, Vectors], Awaitable[list[str]]]]:
    everyone = Filter(any_of=(EVERYONE,))
    group = Filter(any_of=(EVERYONE, frozenset({f"source:{GROUP}"})))
    center = Center.of(np.asarray(job.vectors()[:CENTERED]))
    given = Index(store=store, embedder=Given(dict(job.asked())), center=center)
    model: Embedder = load_backend("embedders", MODEL)(MODEL)

    def hybrid(index: Index, where: Filter) -> Callable[[str, Vectors], Awaitable[list[str]]]:
        async def found(question: str, _: Vectors) -> list[str]:
            return [hit.chunk_id for hit in (await search(question, index, limit=LIMIT, where=where)).hits]

        return found

    async def by_vector(_: str, vector: Vectors) -> list[str]:
        return [hit.chunk_id for hit in await store.search(vector, limit=LIMIT, where=everyone)]

    async def by_vector_filtered(_: str, vector: Vectors) -> list[str]:
        return [hit.chunk_id for hit in await store.search(vector, limit=LIMIT, where=group)]

    return {
        "lexical": hybrid(Index(store=store), everyone),
        "vector": by_vector,
        "vector filtered": by_vector_filtered,
        "hybrid": hybrid(given, everyone),
        "hybrid filtered": hybrid(given, group),
        "whole": hybrid(Index(store=store, embedder=model, center=center), everyone),
    }


def main() -> None:
    job = read_search_job()
    with asyncio.Runner() as runner:
        if job.building:
            runner.run(build(job))
            return
        store = load_backend("vector_stores", job.index)(job.index, root=Path(job.state))
        runner.run(store.__aenter__())
        tell("ready")
        time_kinds(job, {name: _blocking(runner, ask) for name, ask in kinds(store, job).items()})
        runner.run(store.__aexit__(None, None, None))


def _blocking(runner: asyncio.Runner, ask: Callable[[str, Vectors], Awaitable[list[str]]]) -> Search:
    async def asked(question: str, vector: Vectors) -> list[str]:
        return await ask(question, vector)

    return lambda question, vector: runner.run(asked(question, vector))


if __name__ == "__main__":
    main()

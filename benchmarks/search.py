"""How fast the index answers, at what size: latency, build time, disk, memory, and recall of the approximate search.

    python benchmarks/search.py FOLDER --chunks 100000 [--embedded 5000] [--index lancedb:index] [--json]

FOLDER holds source files (`ingest.py --collect` makes one). They are cut into chunks as the product does; the first so
many are embedded with MiniLM, and the others get a vector between two of those, chosen by chance, with some noise: as
dense as real ones, without hours of embedding. Searches go through the product's own search, the embedding of the query
included, on the lines of `questions.txt`. A filter lets one document in twenty through.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import corpus
import numpy as np
import psutil

from intelforge.core.errors import ItemError
from intelforge.core.registry import load_backend
from intelforge.core.values import Attributes, Chunk, Item
from intelforge.index.center import Center
from intelforge.index.protocol import Embedder, Filter, Vectors, VectorStore
from intelforge.index.search import Index, search
from intelforge.refine.document import refine
from intelforge.refine.tokens import token_counter

HERE = Path(__file__).parent
MODEL = "onnx:all-MiniLM-L6-v2"
CHUNK_TOKENS = 220
BATCH = 4000
"""chunks added in one write"""
LIMIT = 10
ROUNDS = 4
"""times every question is asked"""
NOISE = 0.35
"""length of the noise in a vector that is made, beside a unit vector"""
GROUPS = 20
RARE = Filter(any_of=(frozenset({"source:7"}),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of one kind of search, in milliseconds."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One store at one size."""

    index: str
    chunks: int
    add_seconds: float
    """text and vectors written"""
    fold_seconds: float
    """made fast by `maintain`"""
    disk_mb: float
    memory_mb: float
    """of this process at the end, libraries and the embedding model included"""
    recall_at_10: float
    """of the vector search against an exact one"""
    latency: dict[str, Latency]


def chunks_of(folder: Path, number: int, embedder: Embedder) -> list[Chunk]:
    """So many chunks of the files at even distances. Raises RuntimeError when there are fewer."""
    count = token_counter(embedder.tokenizer)
    files = list(corpus.read(folder).files)
    random.Random(7).shuffle(files)
    found: list[Chunk] = []
    for file in files:
        item = Item(uri=str(file), data=(folder / file).read_bytes())
        try:
            found += refine(item, count=count, max_tokens=CHUNK_TOKENS).chunks
        except ItemError:
            continue
        if len(found) >= number:
            return found[:number]
    raise RuntimeError(f"{folder} gives {len(found)} chunks; collect more files, or ask for fewer chunks")


async def vectors_of(chunks: Sequence[Chunk], embedder: Embedder, embedded: int) -> Vectors:
    """A unit vector for each chunk: embedded, or made between two that are."""
    real = await embedder.embed([chunk.embedding_text for chunk in chunks[:embedded]])
    chance = np.random.default_rng(7)
    vectors = np.empty((len(chunks), embedder.dimensions), np.float32)
    vectors[: len(real)] = real
    for start in range(len(real), len(chunks), BATCH):
        rows = min(BATCH, len(chunks) - start)
        left, right = real[chance.integers(len(real), size=(2, rows))]
        share = chance.random((rows, 1), np.float32)
        noise = chance.normal(size=(rows, real.shape[1])).astype(np.float32) * (NOISE / real.shape[1] ** 0.5)
        made = share * left + (1 - share) * right + noise
        vectors[start : start + rows] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return vectors


async def measure(url: str, root: Path, chunks: Sequence[Chunk], vectors: Vectors, embedder: Embedder) -> Measured:
    async with load_backend("vector_stores", url)(url, root=root) as store:
        began = time.perf_counter()
        await fill(store, chunks, vectors)
        added = time.perf_counter()
        await store.maintain()
        folded = time.perf_counter()
        index = Index(store=store, embedder=embedder, center=Center.of(vectors))
        latency = {name: await timed(ask) for name, ask in kinds(index).items()}
        return Measured(
            index=url,
            chunks=len(chunks),
            add_seconds=added - began,
            fold_seconds=folded - added,
            disk_mb=disk_mb(root),
            memory_mb=psutil.Process().memory_info().rss / 1e6,
            recall_at_10=await recall(store, chunks, vectors, embedder),
            latency=latency,
        )


def disk_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


async def fill(store: VectorStore, chunks: Sequence[Chunk], vectors: Vectors) -> None:
    groups = {document: number % GROUPS for number, document in enumerate({chunk.document_id for chunk in chunks})}
    about = {
        document: Attributes(labels=frozenset({"principal:*", f"source:{group}"})) for document, group in groups.items()
    }
    for start in range(0, len(chunks), BATCH):
        part = chunks[start : start + BATCH]
        known = {chunk.document_id: about[chunk.document_id] for chunk in part}
        await store.add(part, known)
        await store.add_vectors([chunk.id for chunk in part], vectors[start : start + BATCH], known)


def kinds(index: Index) -> dict[str, Callable[[str], Awaitable[object]]]:
    """The searches that are timed, by name."""
    everyone = Filter(any_of=(frozenset({"principal:*"}),))
    words = Index(store=index.store)

    async def by_vector(question: str) -> object:
        assert index.embedder
        [vector] = await index.embedder.embed([question])
        return await index.store.search(vector, limit=LIMIT, where=everyone)

    return {
        "lexical": lambda question: search(question, words, limit=LIMIT, where=everyone),
        "vector": by_vector,
        "hybrid": lambda question: search(question, index, limit=LIMIT, where=everyone),
        "filtered": lambda question: search(question, index, limit=LIMIT, where=RARE),
    }


async def timed(ask: Callable[[str], Awaitable[object]]) -> Latency:
    seconds = []
    for number, question in enumerate(questions()):
        began = time.perf_counter()
        await ask(question)
        if number >= len(questions()) // ROUNDS:  # the first round warms up
            seconds.append(time.perf_counter() - began)
    cuts = statistics.quantiles(seconds, n=20)
    return Latency(p50=cuts[9] * 1000, p95=cuts[18] * 1000)


async def recall(store: VectorStore, chunks: Sequence[Chunk], vectors: Vectors, embedder: Embedder) -> float:
    ids = [chunk.id for chunk in chunks]
    shares = []
    for vector in await embedder.embed(questions()[:: ROUNDS * 2]):
        exact = {ids[row] for row in np.argsort(-(vectors @ vector))[:LIMIT]}
        shares.append(len(exact & {hit.chunk_id for hit in await store.search(vector, limit=LIMIT)}) / LIMIT)
    return statistics.fmean(shares)


def questions() -> list[str]:
    return (HERE / "questions.txt").read_text(encoding="utf-8").splitlines() * ROUNDS


def table(measured: Sequence[Measured]) -> Iterator[str]:
    kinds = list(measured[0].latency)
    titles = [
        "index",
        "chunks",
        "add s",
        "fold s",
        "disk MB",
        "memory MB",
        "recall@10",
        *(f"{k} p50/p95" for k in kinds),
    ]
    yield "| " + " | ".join(titles) + " |"
    yield "|---" * len(titles) + "|"
    for one in measured:
        cells = [one.index, f"{one.chunks:,}", f"{one.add_seconds:.1f}", f"{one.fold_seconds:.1f}"]
        cells += [f"{one.disk_mb:,.0f}", f"{one.memory_mb:,.0f}", f"{one.recall_at_10:.3f}"]
        cells += [f"{one.latency[kind].p50:.1f} / {one.latency[kind].p95:.1f} ms" for kind in kinds]
        yield "| " + " | ".join(cells) + " |"


async def run(options: argparse.Namespace) -> list[Measured]:
    embedder: Embedder = load_backend("embedders", MODEL)(MODEL)
    chunks = chunks_of(options.folder, options.chunks, embedder)
    vectors = await vectors_of(chunks, embedder, options.embedded)
    measured = []
    for url in options.index:
        with tempfile.TemporaryDirectory() as root:
            measured.append(await measure(url, Path(root), chunks, vectors, embedder))
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Latency, size and recall of the index.")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--embedded", type=int, default=5000, help="chunks embedded; vectors of the others are made")
    parser.add_argument("--index", action="append", default=[], help="URL of a vector store; may be given again")
    parser.add_argument("--json", action="store_true", help="one JSON line a store")
    options = parser.parse_args(arguments)
    options.index = options.index or ["lancedb:index"]
    measured = asyncio.run(run(options))
    print("\n".join(json.dumps(asdict(one)) for one in measured) if options.json else "\n".join(table(measured)))


if __name__ == "__main__":
    main()

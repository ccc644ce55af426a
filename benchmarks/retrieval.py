"""Measures how well the search of IntelForge ranks: nDCG@10 and recall@100 of its parts, of both
together, and after reranking.

    python benchmarks/retrieval.py FOLDER… [--json] [--precision int8|float32]

A folder holds `docs.jsonl.gz` (`{"id", "text"}` a line) and `queries.jsonl.gz` (`{"id", "text", "relevant": [id]}`).
Each document is one chunk in the product's own store; queries go through the product's own search. float32 compares
with published numbers of the same model; int8 is what a workspace uses unless told otherwise.
"""

import argparse
import asyncio
import gzip
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from intelforge.core.registry import load_backend
from intelforge.core.values import Chunk, Hit
from intelforge.index.center import Center
from intelforge.index.onnx import OnnxEmbedder
from intelforge.index.protocol import Embedder, VectorStore
from intelforge.index.rerank import LateInteraction, rerank
from intelforge.index.search import Index, search

DEPTH = 100
PARTS = ("lexical", "vector", "hybrid", "reranked")
RERANK_SECONDS = 60.0
"""enough to look at all that is looked at: the time is not what is measured here"""

Measure = Callable[[Sequence[str], frozenset[str]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question with the ids of the documents that answer it."""

    id: str
    text: str
    relevant: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Documents by id, and queries over them."""

    name: str
    documents: Mapping[str, str]
    queries: tuple[Query, ...]


def read(folder: Path) -> Collection:
    """The collection in a folder."""
    documents = {row["id"]: row["text"] for row in _rows(folder / "docs.jsonl.gz")}
    queries = tuple(
        Query(id=row["id"], text=row["text"], relevant=frozenset(row["relevant"]))
        for row in _rows(folder / "queries.jsonl.gz")
    )
    return Collection(name=folder.name, documents=documents, queries=queries)


def ndcg(ranking: Sequence[str], relevant: frozenset[str], *, depth: int = 10) -> float:
    """Normalised discounted cumulative gain with binary gains, as trec_eval's `ndcg_cut`."""
    gain = sum(1 / math.log2(rank + 2) for rank, found in enumerate(ranking[:depth]) if found in relevant)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(depth, len(relevant))))
    return gain / ideal if ideal else 0.0


def recall(ranking: Sequence[str], relevant: frozenset[str], *, depth: int = DEPTH) -> float:
    """The share of the relevant documents among the first `depth`."""
    return len(relevant.intersection(ranking[:depth])) / len(relevant) if relevant else 0.0


async def measure(collection: Collection, *, store: VectorStore, embedder: Embedder) -> dict[str, object]:
    """One line of the result: the collection, how many queries, and the measures of each part."""
    center = await fill(collection, store=store, embedder=embedder)
    index = Index(store=store, embedder=embedder, center=center)
    rankings = [await rank(query.text, index, collection.documents) for query in collection.queries]
    scores = {
        part: {
            "ndcg_at_10": _mean(ndcg, part, rankings, collection.queries),
            "recall_at_100": _mean(recall, part, rankings, collection.queries),
        }
        for part in PARTS
    }
    return {"collection": collection.name, "queries": len(collection.queries), **scores}


async def fill(collection: Collection, *, store: VectorStore, embedder: Embedder) -> Center:
    """Stores and embeds every document as one chunk; gives the centre of the vectors, which embedding notes."""
    chunks = [_chunk(document_id, text) for document_id, text in collection.documents.items()]
    await store.add(chunks)
    vectors = await embedder.embed([chunk.text for chunk in chunks])
    await store.add_vectors([chunk.id for chunk in chunks], vectors)
    await store.maintain()
    return Center.of(vectors)


async def rank(query: str, index: Index, documents: Mapping[str, str]) -> dict[str, list[str]]:
    """The documents each part gives for a query, best first."""
    assert isinstance(index.embedder, OnnxEmbedder)
    both = (await search(query, index, limit=DEPTH)).hits
    hits = [Hit(chunk=_chunk(hit.document_id, documents[hit.document_id]), score=hit.score) for hit in both]
    looked = await rerank(query, hits, LateInteraction(index.embedder), seconds=RERANK_SECONDS)
    [vector] = await index.embedder.embed([query])
    return {
        "lexical": [hit.document_id for hit in await index.store.search(query, limit=DEPTH)],
        "vector": [hit.document_id for hit in await index.store.search(vector, limit=DEPTH)],
        "hybrid": [hit.document_id for hit in both],
        "reranked": [hit.chunk.document_id for hit in looked],
    }


async def run(folders: Sequence[Path], *, precision: str) -> list[dict[str, object]]:
    """The result of every folder, in order."""
    url = f"onnx:all-MiniLM-L6-v2?precision={precision}"
    embedder: Embedder = load_backend("embedders", url)(url)
    results = []
    for folder in folders:
        with tempfile.TemporaryDirectory() as temporary:
            async with load_backend("vector_stores", "lancedb:index")("lancedb:index", root=Path(temporary)) as store:
                results.append(await measure(read(folder), store=store, embedder=embedder))
    return results


def table(results: Sequence[Mapping[str, object]]) -> str:
    """The results for people."""
    lines = [f"{'collection':<14}{'queries':>8}" + "".join(f"{part + ' nDCG@10 / R@100':>26}" for part in PARTS)]
    for result in results:
        cells = "".join(f"{_cell(result[part]):>26}" for part in PARTS)
        lines.append(f"{result['collection']!s:<14}{result['queries']!s:>8}{cells}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="nDCG@10 and recall@100 of lexical, vector and hybrid search.")
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON line a folder")
    parser.add_argument("--precision", choices=("int8", "float32"), default="float32", help="of the embedder")
    options = parser.parse_args(arguments)
    results = asyncio.run(run(options.folders, precision=options.precision))
    print("\n".join(json.dumps(result) for result in results) if options.json else table(results))


def _chunk(document_id: str, text: str) -> Chunk:
    return Chunk(id=f"{document_id}:0", document_id=document_id, ordinal=0, start=0, end=len(text), text=text)


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def _mean(measure: Measure, part: str, rankings: Sequence[Mapping[str, list[str]]], queries: Sequence[Query]) -> float:
    pairs = zip(rankings, queries, strict=True)
    return round(fmean(measure(ranking[part], query.relevant) for ranking, query in pairs), 4)


def _cell(measures: object) -> str:
    assert isinstance(measures, dict)
    return f"{measures['ndcg_at_10']:.4f} / {measures['recall_at_100']:.4f}"


if __name__ == "__main__":
    main()

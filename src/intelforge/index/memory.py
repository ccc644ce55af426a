"""The vector store `memory:`: the reference, exact and simple, for tests and small experiments."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from intelforge.core.values import Attributes, Chunk
from intelforge.index.analysis import STOP_WORDS, quoted_phrases, terms
from intelforge.index.protocol import EVERYTHING, NOTHING_KNOWN, About, Filter, Held, Scored, Vectors
from intelforge.index.server_url import wrong_dimensions
from intelforge.index.spelling import likeliest
from intelforge.index.store_rules import K1, B, check_limit, check_vectors, document_of, held_by_document


def open_store(
    url: str = "memory:", *, root: Path | None = None, version: int = 1, secrets: Mapping[str, str] | None = None
) -> "MemoryStore":
    """An empty store; the arguments have nothing to say."""
    return MemoryStore()


class MemoryStore:
    """Exact BM25 (Robertson and Zaragoza, 2009; k1 1.2, b 0.75) over unstemmed terms, exact cosine over vectors."""

    def __init__(self) -> None:
        self._terms: dict[str, list[str]] = {}
        self._vectors: dict[str, Vectors] = {}
        self._about: dict[str, Attributes] = {}

    async def add(self, chunks: Sequence[Chunk], about: About = NOTHING_KNOWN) -> None:
        for chunk in chunks:
            self._terms[chunk.id] = _folded(chunk.embedding_text)
        self._about |= about

    async def add_vectors(self, chunk_ids: Sequence[str], vectors: Vectors, about: About = NOTHING_KNOWN) -> None:
        check_vectors(chunk_ids, vectors)
        for held in self._vectors.values():
            if len(chunk_ids) and len(held) != vectors.shape[1]:
                raise wrong_dimensions("memory:", len(held), vectors.shape[1])
        self._about |= about
        for chunk_id, vector in zip(chunk_ids, vectors, strict=True):
            self._vectors[chunk_id] = np.asarray(vector, np.float32)

    async def describe(self, about: About) -> None:
        self._about |= about

    async def delete(self, document_ids: Collection[str]) -> None:
        gone = set(document_ids)
        self._terms = {key: value for key, value in self._terms.items() if document_of(key) not in gone}
        self._vectors = {key: value for key, value in self._vectors.items() if document_of(key) not in gone}

    async def search(self, query: "str | Vectors", *, limit: int, where: Filter = EVERYTHING) -> list[Scored]:
        check_limit(limit)
        scores = self._bm25(query) if isinstance(query, str) else self._cosine(query)
        admitted = [entry for entry in scores.items() if self._admits(where, entry[0])]
        best = sorted(admitted, key=lambda entry: (-entry[1], entry[0]))[:limit]
        return [Scored(chunk_id, document_of(chunk_id), score) for chunk_id, score in best]

    async def similar(self, word: str, *, where: Filter) -> list[str]:
        """As `spelling.FuzzyText` says."""
        admitted = (held for chunk_id, held in self._terms.items() if self._admits(where, chunk_id))
        return likeliest(word, Counter(term for held in admitted for term in held))

    async def vectors(self, chunk_ids: Collection[str]) -> Mapping[str, Vectors]:
        return {chunk_id: self._vectors[chunk_id] for chunk_id in chunk_ids if chunk_id in self._vectors}

    async def count(self) -> Held:
        return Held(len(self._terms), len(self._vectors))

    async def inventory(self) -> Mapping[str, Held]:
        chunks = Counter(map(document_of, self._terms))
        vectors = Counter(map(document_of, self._vectors))
        return held_by_document(chunks, vectors)

    async def maintain(self) -> None:
        """Nothing is deferred, so there is nothing to do."""

    async def drop(self) -> None:
        self._terms.clear()
        self._vectors.clear()
        self._about.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _admits(self, where: Filter, chunk_id: str) -> bool:
        document_id = document_of(chunk_id)
        return where.admits(document_id, self._about.get(document_id, Attributes()))

    def _bm25(self, query: str) -> dict[str, float]:
        phrases = [_folded(phrase) for phrase in quoted_phrases(query)]
        average = sum(map(len, self._terms.values())) / max(1, len(self._terms))
        scores: dict[str, float] = {}
        wanted = Counter(_folded(query))
        holding = {term: sum(term in held for held in self._terms.values()) for term in wanted}
        for chunk_id, held in self._terms.items():
            counts = Counter(held)
            score = sum(
                times * _idf(len(self._terms), holding[term]) * _saturated(counts[term], len(held) / average)
                for term, times in wanted.items()
                if counts[term]
            )
            if score:
                scores[chunk_id] = score
        bonus = max(scores.values(), default=0.0)
        return {
            key: score + bonus * any(_holds(self._terms[key], each) for each in phrases)
            for key, score in scores.items()
        }

    def _cosine(self, query: Vectors) -> dict[str, float]:
        for vector in self._vectors.values():
            if len(vector) != len(query):
                raise wrong_dimensions("memory:", len(vector), len(query))
        return {chunk_id: float(vector @ query) for chunk_id, vector in self._vectors.items()}


def _folded(text: str) -> list[str]:
    return [term for term in (term.lower() for term in terms(text)) if term not in STOP_WORDS]


def _idf(total: int, holding: int) -> float:
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))


def _saturated(count: int, length: float) -> float:
    return count * (K1 + 1) / (count + K1 * (1 - B + B * length))


def _holds(held: Sequence[str], phrase: Sequence[str]) -> bool:
    size = len(phrase)
    return size > 0 and any(list(held[at : at + size]) == list(phrase) for at in range(len(held) - size + 1))

"""Chunks of real files and a vector for each, made once and kept on disk, for all systems that are measured.

`chunks.jsonl` has a chunk a line, `vectors.npy` their vectors in the same order, `queries.npy` those of the questions.
The first so many of a large corpus are a small one. Nothing here is held in memory whole.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import corpus
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer

from intelforge.core.errors import ItemError
from intelforge.core.values import Chunk, Item
from intelforge.index.analysis import KEPT_WORDS, WORD
from intelforge.index.protocol import Embedder, Vectors
from intelforge.refine.document import refine
from intelforge.refine.tokens import token_counter

CHUNK_TOKENS = 220
BATCH = 4000
"""chunks read and written at once"""
RIDGE = 0.1
FIRST_WORDS = 64
"""of a text, which say enough of what it is about"""
WORD_VECTORS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A corpus that is ready to be indexed."""

    folder: Path
    number: int
    """chunks"""

    @property
    def vectors(self) -> Vectors:
        """Shape (number, dimensions), read from disk as they are used."""
        found: Vectors = np.load(self.folder / "vectors.npy", mmap_mode="r")
        return found[: self.number]

    def chunks(self) -> Iterator[Chunk]:
        with (self.folder / "chunks.jsonl").open(encoding="utf-8") as file:
            for line in islice(file, self.number):
                yield Chunk(**json.loads(line))


async def prepare(
    sources: Path, folder: Path, number: int, embedder: Embedder, *, embedded: int, questions: Sequence[str]
) -> Prepared:
    """So many chunks of the files below `sources`, kept in `folder`; what is there from an earlier run is used again.

    Raises RuntimeError when the files give fewer chunks.
    """
    stamp = folder / "prepared.json"
    wanted = {"sources": str(sources), "embedded": embedded, "model": embedder.name}
    there = json.loads(stamp.read_text(encoding="utf-8")) if stamp.is_file() else {}
    if there.get("number", 0) < number or any(there.get(name) != value for name, value in wanted.items()):
        _write_chunks(sources, folder / "chunks.jsonl", number, embedder)
        await _write_vectors(Prepared(folder=folder, number=number), embedder, embedded)
        stamp.write_text(json.dumps({**wanted, "number": number}), encoding="utf-8")
    np.save(folder / "queries.npy", await embedder.embed(questions))
    return Prepared(folder=folder, number=number)


def _write_chunks(sources: Path, written: Path, number: int, embedder: Embedder) -> None:
    written.parent.mkdir(parents=True, exist_ok=True)
    with written.open("w", encoding="utf-8") as file:
        found = 0
        for chunk in islice(_chunks_of(sources, embedder), number):
            file.write(json.dumps(asdict(chunk)) + "\n")
            found += 1
    if found < number:
        raise RuntimeError(f"{sources} gives {found} chunks; collect more files, or ask for fewer chunks")


def _chunks_of(sources: Path, embedder: Embedder) -> Iterator[Chunk]:
    """As the product cuts them, of the files in an order by chance; each document once."""
    count = token_counter(embedder.tokenizer)
    files = list(corpus.read(sources).files)
    random.Random(7).shuffle(files)
    seen: set[str] = set()
    for file in files:
        try:
            document = refine(
                Item(uri=str(file), data=(sources / file).read_bytes()), count=count, max_tokens=CHUNK_TOKENS
            )
        except ItemError:
            continue
        if document.id not in seen:
            seen.add(document.id)
            yield from document.chunks


async def _write_vectors(prepared: Prepared, embedder: Embedder, embedded: int) -> None:
    """A unit vector for each chunk. Some, at even distances, are embedded; the others are made from their words.

    A linear map from the mean of a text's word vectors to its vector is fitted on half of those that are embedded; what
    it leaves over on one of the other half, drawn by chance, is added to each vector that is made. So texts of the same
    matter are near one another, and the cloud has the spread of the real one.
    """
    words = WordMeans(embedder)
    chosen = np.linspace(0, prepared.number - 1, min(embedded, prepared.number)).astype(np.int64)
    wanted = set(chosen.tolist())
    texts = [chunk.embedding_text for row, chunk in enumerate(prepared.chunks()) if row in wanted]
    real = await embedder.embed(texts)
    fitted = _linear_map(words(texts[::2]), real[::2])
    left = real[1::2] - words(texts[1::2]) @ fitted
    chance = np.random.default_rng(7)
    vectors = np.lib.format.open_memmap(
        prepared.folder / "vectors.npy", mode="w+", dtype=np.float32, shape=(prepared.number, embedder.dimensions)
    )
    chunks = prepared.chunks()
    for start in range(0, prepared.number, BATCH):
        part = [chunk.embedding_text for chunk in islice(chunks, BATCH)]
        made = words(part) @ fitted + left[chance.integers(len(left), size=len(part))]
        vectors[start : start + len(part)] = made / np.linalg.norm(made, axis=1, keepdims=True)
    vectors[chosen] = real
    vectors.flush()


def _linear_map(inputs: NDArray[np.float32], outputs: Vectors) -> NDArray[np.float32]:
    """By least squares with a little regularisation (ridge regression)."""
    exact = inputs.astype(np.float64)
    return np.linalg.solve(exact.T @ exact + RIDGE * np.eye(exact.shape[1]), exact.T @ outputs).astype(np.float32)


class WordMeans:
    """The mean of the model's own vectors of a text's first words, and a constant: shape (texts, width + 1)."""

    def __init__(self, embedder: Embedder) -> None:
        assert embedder.tokenizer is not None
        self._tokenizer: Any = Tokenizer.from_file(str(embedder.tokenizer))
        self._tokenizer.no_padding()
        with safe_open(embedder.tokenizer.with_name("model.safetensors"), "np") as weights:
            self._pieces: NDArray[np.float32] = weights.get_tensor(WORD_VECTORS)
        self._words: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.ones((len(texts), self._pieces.shape[1] + 1), np.float32)
        for row, text in enumerate(texts):
            words = WORD.findall(text.lower())[:FIRST_WORDS]
            found[row, :-1] = np.mean([self._word(word) for word in words or [""]], axis=0)
        return found

    def _word(self, word: str) -> NDArray[np.float32]:
        known = self._words.get(word)
        if known is None:
            if len(self._words) >= KEPT_WORDS:
                self._words.clear()
            pieces = self._tokenizer.encode(word, add_special_tokens=False).ids or [0]
            known = self._words[word] = self._pieces[pieces].mean(axis=0)
        return known

"""How much faster the embedding cache is than embedding: times as fast from memory, and from its file.

    python benchmarks/cache.py [--texts 500] [--json]

Texts are the lines of the standard library's modules, in chunks of about a hundred words, embedded with MiniLM in int8.
Each number is of the whole way through the cached embedder, hashing of the texts included.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from intelforge.core.registry import load_backend
from intelforge.index.embedders.cache import EmbeddingCache
from intelforge.index.embedders.cached import CachedEmbedder
from intelforge.index.protocol import Embedder

MODEL = "onnx:all-MiniLM-L6-v2"
WORDS = 100
"""of one text"""
AT_ONCE = 64
"""texts of one call"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Texts a second, and how many times that of embedding."""

    texts: int
    embedded: float
    from_memory: float
    from_file: float
    memory_ratio: float
    file_ratio: float


def texts_of(number: int) -> list[str]:
    """So many different texts of the standard library. Raises RuntimeError when there are fewer."""
    found: dict[str, None] = {}
    for path in sorted(Path(json.__file__).parent.parent.glob("*.py")):
        words = path.read_text(encoding="utf-8", errors="replace").split()
        found |= dict.fromkeys(" ".join(words[start : start + WORDS]) for start in range(0, len(words), WORDS))
        if len(found) >= number:
            return list(found)[:number]
    raise RuntimeError(f"the standard library gives {len(found)} texts, not {number}")


async def measure(texts: Sequence[str], embedder: Embedder, folder: Path) -> Measured:
    """Embeds the texts, takes them from memory, then from the file in a cache that was just opened."""
    first = EmbeddingCache(folder / "embeddings.db")
    embedded = await _rate(texts, CachedEmbedder(embedder, first).embed)
    memory = await _rate(texts, CachedEmbedder(embedder, first).embed)
    await first.close()
    again = EmbeddingCache(folder / "embeddings.db")
    file = await _rate(texts, CachedEmbedder(embedder, again).embed)
    if again.counts.misses:
        raise RuntimeError(f"{again.counts.misses} texts were not in the file")
    await again.close()
    return Measured(
        texts=len(texts),
        embedded=embedded,
        from_memory=memory,
        from_file=file,
        memory_ratio=memory / embedded,
        file_ratio=file / embedded,
    )


async def _rate(texts: Sequence[str], embed: Callable[[Sequence[str]], Awaitable[object]]) -> float:
    """Texts a second."""
    began = time.perf_counter()
    for start in range(0, len(texts), AT_ONCE):
        await embed(texts[start : start + AT_ONCE])
    return len(texts) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description="Times that the embedding cache is faster than embedding.")
    parser.add_argument("--texts", type=int, default=500, help="how many")
    parser.add_argument("--json", action="store_true", help="one JSON line")
    given = parser.parse_args()
    embedder: Embedder = load_backend("embedders", MODEL)(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(texts_of(given.texts), embedder, Path(folder)))
    if given.json:
        print(json.dumps(asdict(found)))
    else:
        print(f"| {found.texts} texts | texts/s | times embedding |\n|---|---:|---:|")
        print(f"| embedded | {found.embedded:,.0f} | 1 |")
        print(f"| from memory | {found.from_memory:,.0f} | {found.memory_ratio:.0f} |")
        print(f"| from the file | {found.from_file:,.0f} | {found.file_ratio:.0f} |")


if __name__ == "__main__":
    main()

"""Vectors of texts by an embedder, kept in a file by the texts' hashes, so that a benchmark embeds a text once."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intelforge.core.registry import load_backend

CACHE = Path(__file__).parent.parent / ".bench" / "vectors"
SAVED_EVERY = 16
"""calls of the embedder"""


class EmbeddedTexts:
    """The vectors of one embedder, read from a file and written to it."""

    def __init__(self, url: str, *, folder: Path = CACHE) -> None:
        self._url = url
        self._file = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.npz"
        self._vectors: dict[bytes, NDArray[np.float32]] = {}
        if self._file.is_file():
            with np.load(self._file, allow_pickle=False) as kept:
                self._vectors = {
                    row.tobytes(): vector for row, vector in zip(kept["keys"], kept["vectors"], strict=True)
                }

    def vectors(
        self, texts: Sequence[str], *, before_each: Callable[[int, int], None] = lambda done, total: None
    ) -> NDArray[np.float32]:
        """The vectors in the order of the texts; those that are not kept yet are made."""
        missing = {_key(text): text for text in texts if _key(text) not in self._vectors}
        if missing:
            asyncio.run(self._embed(missing, before_each))
        return np.stack([self._vectors[_key(text)] for text in texts])

    async def _embed(self, missing: dict[bytes, str], before_each: Callable[[int, int], None]) -> None:
        embedder = load_backend("embedders", self._url)(self._url)
        keys = sorted(missing, key=lambda key: len(missing[key]))
        for number, start in enumerate(range(0, len(keys), embedder.at_once)):
            before_each(start, len(keys))
            batch = keys[start : start + embedder.at_once]
            vectors = await embedder.embed([missing[key] for key in batch])
            self._vectors.update(zip(batch, vectors, strict=True))
            if number % SAVED_EVERY == SAVED_EVERY - 1:
                self._save()
        self._save()

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        (self._file.parent / ".gitignore").write_text("*\n", encoding="utf-8")
        keys = np.stack([np.frombuffer(key, np.uint8) for key in self._vectors])
        unfinished = self._file.with_suffix(".part.npz")
        np.savez(unfinished, keys=keys, vectors=np.stack(list(self._vectors.values())))
        unfinished.replace(self._file)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()

"""The reranker `onnx:FOLDER`: a cross-encoder on the CPU, exported to ONNX as the model hub keeps them."""

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from intelforge.core.errors import ConfigError
from intelforge.index.encoder_folder import GRAPHS, exported_graph, max_tokens, missing
from intelforge.index.onnx import batches, encodable, load_tokenizer
from intelforge.index.onnx_graph import OnnxGraph, Tokens, padded
from intelforge.index.rerank import AT_ONCE, Scores
from intelforge.index.rerankers.context import RerankerContext
from intelforge.index.weights import TOKENIZER

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LOGITS: Final = "logits"
REMEDY: Final = "name a cross-encoder, exported by: optimum-cli export onnx --task text-classification"


@dataclass(frozen=True, slots=True)
class Pair:
    """Query and text as the model reads them: their tokens, and of which of the two each one is."""

    ids: Tokens
    types: Tokens


def open_reranker(url: str, *, context: RerankerContext, threads: int | None = None) -> "CrossEncoder":
    """The reranker named by the URL, relative to the workspace. Reads no weights: they are loaded at first use.

    Raises ConfigError, and ModelError for a folder without a model.
    """
    name = url.strip().partition(":")[2]
    if not name:
        raise ConfigError(f"reranker {url!r} names no folder", hint="write it as onnx:FOLDER")
    folder = (context.root / Path(name).expanduser()).absolute()
    graph = exported_graph(folder)
    if graph is None:
        raise missing(folder, " or ".join(GRAPHS))
    return CrossEncoder(folder, graph, threads=threads or os.cpu_count() or 1)


class CrossEncoder:
    """Scores pairs in a thread of its own, in batches of similar length. One call runs at a time; others wait."""

    at_once = AT_ONCE
    remote = False

    def __init__(self, folder: Path, graph: Path, *, threads: int) -> None:
        self._folder = folder
        self._path = graph
        self._threads = threads
        self._max_tokens = max_tokens(folder)
        self._loading = threading.Lock()
        self._loaded: tuple[Tokenizer, OnnxGraph] | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rerank")

    @property
    def name(self) -> str:
        return f"onnx:{self._folder.name}"

    async def local(self) -> bool:
        return True

    async def score(self, query: str, texts: Sequence[str]) -> Scores:
        """Log-odds that a text answers the query, in the order of the texts. What is beyond the
        model's limit is cut, of the text first.

        Cancelling takes effect after the batch that is running. Raises ModelError when the model is damaged, or is no
        cross-encoder.
        """
        loop = asyncio.get_running_loop()
        pairs = await loop.run_in_executor(self._executor, self._pairs, query, texts) if texts else []
        scores = np.zeros(len(texts), np.float32)
        for rows in batches([len(pair.ids) for pair in pairs]):
            scores[rows] = await loop.run_in_executor(self._executor, self._run, [pairs[row] for row in rows])
        return scores

    def _pairs(self, query: str, texts: Sequence[str]) -> list[Pair]:
        tokenizer = self._load()[0]
        [query] = _cut(tokenizer, [query], self._max_tokens // 2)
        encoded = tokenizer.encode_batch([(query, text) for text in _cut(tokenizer, texts, self._max_tokens)])
        # A tokenizer without special tokens gives none for two empty texts.
        return [
            Pair(np.asarray(part.ids or [0], np.int32), np.asarray(part.type_ids or [0], np.int32)) for part in encoded
        ]

    def _run(self, pairs: Sequence[Pair]) -> Scores:
        graph = self._load()[1]
        output = LOGITS if LOGITS in graph.shapes else next(iter(graph.shapes))
        ids, mask = padded([pair.ids for pair in pairs])
        logits = graph.run(output, ids, mask, padded([pair.types for pair in pairs])[0])
        if logits.shape not in ((len(pairs),), (len(pairs), 1), (len(pairs), 2)):
            raise graph.unusable(f"gives scores of shape {logits.shape[1:]} instead of one or two a text")
        scores = logits[:, 1] - logits[:, 0] if logits.shape[1:] == (2,) else logits.reshape(-1)
        if not np.isfinite(scores).all():
            raise graph.unusable("gives scores that are no numbers")
        return scores

    def _load(self) -> "tuple[Tokenizer, OnnxGraph]":
        with self._loading:
            if self._loaded is None:
                path = self._folder / TOKENIZER
                tokenizer = load_tokenizer(path, path.read_bytes, max_tokens=self._max_tokens)
                graph = OnnxGraph(str(self._path), name=self.name, remedy=REMEDY, threads=self._threads)
                self._loaded = (tokenizer, graph)
            return self._loaded


def _cut(tokenizer: "Tokenizer", texts: Sequence[str], most: int) -> list[str]:
    """At most so many tokens of each text: of pairs that are far too long the tokenizer makes a piece for each two."""
    clean = [encodable(text) for text in texts]
    encoded = tokenizer.encode_batch(clean, add_special_tokens=False)
    ends = [part.offsets[:most][-1][1] if part.ids else len(text) for part, text in zip(encoded, clean, strict=True)]
    return [text[:end] for text, end in zip(clean, ends, strict=True)]

"""The embedder `onnx:MODEL[?precision=int8|float32]`: a sentence encoder on the CPU, without torch.

MODEL is a model known by name, or the path of a folder: `onnx:./models/bge-small-en-v1.5`.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.index import weights
from intelforge.index.embedders.pieces import combine, unit
from intelforge.index.encoder import Encoder, built_in
from intelforge.index.encoder_folder import in_folder
from intelforge.index.encoder_session import EncoderSession
from intelforge.index.model_context import ModelContext
from intelforge.index.onnx_graph import Tokens
from intelforge.index.protocol import TextKind, Vectors
from intelforge.index.rerank import Tokens as TokenVectors
from intelforge.index.written_graph import PRECISIONS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH_TOKENS: Final = 2048
"""Padded tokens of one run: what stays in the cache is quick, and a cancelled call does not go on for long."""
AT_ONCE: Final = 32
"""texts"""


def open_embedder(
    url: str, *, context: ModelContext | None = None, cache: Path | None = None, threads: int | None = None
) -> "OnnxEmbedder":
    """The embedder named by the URL. Reads no weights: they are loaded at first use.

    Raises ConfigError for a URL with a wrong option, ModelError NOT_FOUND for an unknown model and MISSING_MODEL
    when its weights are not here.
    """
    name, _, query = url.partition(":")[2].partition("?")
    options = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
    precision = options.pop("precision", None)
    if options or precision not in (None, *PRECISIONS):
        raise ConfigError(
            f"embedder {url!r} has an unknown option or precision", hint="write onnx:MODEL?precision=int8 or =float32"
        )
    cache = cache or weights.cache_folder()
    root = context.root if context else Path()
    if _is_path(name):
        encoder = in_folder((root / Path(name).expanduser()).absolute(), precision, cache=cache)
    else:
        encoder = built_in(
            weights.model_named(name), precision or PRECISIONS[0], folder=_found(name, cache), cache=cache
        )
    return OnnxEmbedder(encoder, threads=threads or os.cpu_count() or 1)


class OnnxEmbedder:
    """Embeds texts in a thread of its own, in batches of similar length. One call runs at a time; others wait."""

    at_once = AT_ONCE
    local = True

    def __init__(self, encoder: Encoder, *, threads: int) -> None:
        self._encoder = encoder
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: tuple[Tokenizer, EncoderSession] | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def dimensions(self) -> int:
        return self._encoder.dimensions

    @property
    def tokenizer(self) -> Path:
        return self._encoder.tokenizer

    async def embed(self, texts: Sequence[str], *, kind: TextKind = TextKind.DOCUMENT) -> Vectors:
        """Unit vectors in the order of the texts, shape (len(texts), dimensions).

        A text of more tokens than the model reads is embedded in pieces; its vector is their mean, by their tokens.
        Cancelling takes effect after the batch that is running. Raises ModelError when the weights are damaged.
        """
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        loop = asyncio.get_running_loop()
        prompt = self._encoder.prompts.get(kind, "")
        tokens, owners = await loop.run_in_executor(self._executor, self._pieces, [prompt + text for text in texts])
        lengths = [len(ids) for ids in tokens]
        vectors = np.zeros((len(tokens), self.dimensions), np.float32)
        for rows in batches(lengths):
            batch = [tokens[row] for row in rows]
            vectors[rows] = unit(await loop.run_in_executor(self._executor, self._run, batch))
        return combine(vectors, owners, lengths, len(texts)) if len(tokens) > len(texts) else vectors

    async def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The tokens of each text in its context, special ones left out; of a long text those the model reads at once.

        Raises ModelError when the graph gives vectors of whole texts alone.
        """
        loop = asyncio.get_running_loop()
        encoded = await loop.run_in_executor(self._executor, self._encoded, texts) if texts else []
        found: dict[int, TokenVectors] = {}
        for rows in batches([len(ids) for ids, _ in encoded]):
            batch = [encoded[row] for row in rows]
            states = await loop.run_in_executor(self._executor, self._states, [ids for ids, _ in batch])
            for row, (ids, own), vectors in zip(rows, batch, states, strict=True):
                found[row] = TokenVectors(ids=ids[own], vectors=unit(vectors[own]))
        return [found[row] for row in range(len(texts))]

    def _encoded(self, texts: Sequence[str]) -> list[tuple[Tokens, NDArray[np.bool_]]]:
        """The tokens of the first piece of each text, and which of them are its own."""
        encoded = self._load()[0].encode_batch([encodable(text) for text in texts])
        return [
            (np.asarray(part.ids or [0], np.int32), ~np.asarray(part.special_tokens_mask or [1], bool))
            for part in encoded
        ]

    def _states(self, batch: Sequence[Tokens]) -> list[Vectors]:
        return self._load()[1].states(batch)

    def _pieces(self, texts: Sequence[str]) -> tuple[list[Tokens], list[int]]:
        """The tokens of every piece, special ones included, and the text it is of."""
        encoded = self._load()[0].encode_batch_fast([encodable(text) for text in texts])
        parts = [(row, part) for row, whole in enumerate(encoded) for part in (whole, *whole.overflowing)]
        # A tokenizer without special tokens gives none for an empty text.
        return [np.asarray(part.ids or [0], np.int32) for _, part in parts], [row for row, _ in parts]

    def _run(self, batch: Sequence[Tokens]) -> Vectors:
        return self._load()[1].run(batch)

    def _tokenizer(self) -> "Tokenizer":
        """It gives what is beyond the model's limit as further pieces."""
        encoder = self._encoder
        return load_tokenizer(encoder.tokenizer, encoder.read_tokenizer, max_tokens=encoder.max_tokens)

    def _load(self) -> "tuple[Tokenizer, EncoderSession]":
        with self._loading:
            if self._loaded is None:
                self._loaded = (self._tokenizer(), EncoderSession(self._encoder, threads=self._threads))
            return self._loaded


def _is_path(name: str) -> bool:
    return name.startswith((".", "~")) or "/" in name or "\\" in name


def _found(name: str, cache: Path) -> Path:
    folder = weights.find(name, cache=cache)
    if folder is None:
        raise ModelError(
            f"the weights of {name} are not here",
            hint=f"run: intelforge models pull {name}",
            code=ErrorCode.MISSING_MODEL,
        )
    return folder


def load_tokenizer(path: Path, read: Callable[[], bytes], *, max_tokens: int) -> "Tokenizer":
    """The tokenizer that is read from a path, which cuts at a limit. Raises ModelError."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(read())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", hint="copy the model again", code=ErrorCode.DAMAGED
        ) from error
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return tokenizer


def encodable(text: str) -> str:
    """Lone surrogates, which no tokenizer takes, become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of texts of similar length, at most BATCH_TOKENS padded tokens together, longest first."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch

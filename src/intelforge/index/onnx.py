"""The embedder `onnx:MODEL[?precision=int8|float32]`: a sentence encoder on the CPU, without torch.

The graph is written from the model's weights at first use and kept in the cache folder.
"""

import asyncio
import os
import platform
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import numpy as np
from numpy.typing import NDArray

from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.index import weights
from intelforge.index.protocol import Vectors

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

GRAPH_VERSION = 2
"""Raised when `bert.build` changes what it writes, so that older files in the cache are not used."""
PRECISIONS = ("int8", "float32")
BATCH_TOKENS = 2048
"""Padded tokens of one run: what stays in the cache is quick, and a cancelled call does not go on for long."""
LONGEST_TEXT = 16_384
"""characters; what follows cannot be among the first 256 tokens unless the text is blank"""


def open_embedder(url: str, *, cache: Path | None = None, threads: int | None = None) -> "OnnxEmbedder":
    """The embedder named by the URL. Reads no file but the folder's listing: weights are loaded at first use.

    Raises ConfigError for a URL with a wrong option, ModelError NOT_FOUND for an unknown model and MISSING_MODEL
    when its weights are not here.
    """
    name, _, query = url.partition(":")[2].partition("?")
    options = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
    precision = options.pop("precision", PRECISIONS[0])
    if options or precision not in PRECISIONS:
        raise ConfigError(
            f"embedder {url!r} has an unknown option or precision", hint="write onnx:MODEL?precision=int8 or =float32"
        )
    cache = cache or weights.cache_folder()
    model = weights.model_named(name)
    folder = weights.find(name, cache=cache)
    if folder is None:
        raise ModelError(
            f"the weights of {name} are not here",
            hint=f"run: intelforge models pull {name}",
            code=ErrorCode.MISSING_MODEL,
        )
    return OnnxEmbedder(model, precision, folder=folder, cache=cache, threads=threads or os.cpu_count() or 1)


class OnnxEmbedder:
    """Embeds texts in a thread of its own, in batches of similar length. One call runs at a time; others wait."""

    def __init__(self, model: weights.Model, precision: str, *, folder: Path, cache: Path, threads: int) -> None:
        self._model = model
        self._precision = precision
        self._folder = folder
        self._cache = cache
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: tuple[Tokenizer, InferenceSession] | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")

    @property
    def name(self) -> str:
        digest = self._model.files[weights.WEIGHTS].sha256[:8]
        return f"onnx:{self._model.name}@{digest}.{GRAPH_VERSION}?precision={self._precision}"

    @property
    def dimensions(self) -> int:
        return self._model.dimensions

    @property
    def tokenizer(self) -> Path:
        return self._folder / weights.TOKENIZER

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors in the order of the texts, shape (len(texts), dimensions). Texts are cut at 256 tokens.

        Cancelling takes effect after the batch that is running. Raises ModelError when the weights are damaged.
        """
        loop = asyncio.get_running_loop()
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        tokens = await loop.run_in_executor(self._executor, self._tokens, texts) if texts else []
        for rows in batches([len(ids) for ids in tokens]):
            batch = [tokens[row] for row in rows]
            vectors[rows] = await loop.run_in_executor(self._executor, self._run, batch)
        return vectors

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, special tokens not counted, not cut."""
        return len(self._load()[0].encode(_encodable(text), add_special_tokens=False).ids)

    def _tokens(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        tokenizer = self._load()[0]
        clean = [_encodable(text[:LONGEST_TEXT]) for text in texts]
        encoded = tokenizer.encode_batch_fast(clean)
        return [_cut(np.asarray(each.ids, np.int32), self._model.max_tokens) for each in encoded]

    def _run(self, batch: list[NDArray[np.int32]]) -> Vectors:
        shape = (len(batch), max(len(ids) for ids in batch))
        ids, mask = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        vectors: Vectors = np.asarray(self._load()[1].run(["vectors"], {"ids": ids, "mask": mask})[0])
        return vectors

    def _load(self) -> "tuple[Tokenizer, InferenceSession]":
        with self._loading:
            if self._loaded is None:
                self._loaded = (_tokenizer(self._folder, self._model), self._session())
            return self._loaded

    def _session(self) -> "InferenceSession":
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        graph = self._graph()
        try:
            return InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"{self._built} cannot be loaded: {error}",
                hint=f"delete it; it is written again from {self._folder}",
                code=ErrorCode.DAMAGED,
            ) from error

    @property
    def _graph_precision(self) -> str:
        return "int7" if self._precision == "int8" and not multiplies_bytes() else self._precision

    @property
    def _built(self) -> Path:
        return self._cache / self._model.name / f"{self._graph_precision}.{GRAPH_VERSION}.onnx"

    def _graph(self) -> str | bytes:
        """The path of the graph in the cache, written first if need be; its bytes when the cache is read-only."""
        if self._built.is_file():
            return str(self._built)
        from safetensors.numpy import load

        from intelforge.index import bert  # imports onnx, which is not needed once the graph is there

        tensors = load(weights.verified(self._folder, self._model.name, weights.WEIGHTS))
        graph = bert.build(tensors, bert.Precision(self._graph_precision))
        temporary = self._built.with_suffix(f".{os.getpid()}.new")
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(graph)
            temporary.replace(self._built)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return graph
        return str(self._built)


def multiplies_bytes(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU adds up products of bytes without overflow: ARM and newer x86. Told by Linux alone."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True
    try:
        return "vnni" in cpu_info.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False


def _tokenizer(folder: Path, model: weights.Model) -> "Tokenizer":
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(weights.verified(folder, model.name, weights.TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _cut(ids: NDArray[np.int32], limit: int) -> NDArray[np.int32]:
    """The first tokens, with the closing special token kept."""
    return ids if len(ids) <= limit else np.concatenate([ids[: limit - 1], ids[-1:]])


def _encodable(text: str) -> str:
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

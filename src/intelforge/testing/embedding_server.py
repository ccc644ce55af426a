"""The embedding APIs of OpenAI, Ollama, Cohere and TEI on a loopback socket, with their limits and their refusals."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from intelforge.index.protocol import Vectors
from intelforge.testing.api_double import ApiDouble
from intelforge.testing.model_server import ServerReply, ServerRequest, error_reply, json_reply

DIMENSIONS: Final = 8


def vector_of(text: str, *, dimensions: int = DIMENSIONS) -> Vectors:
    """The vector of a text, not of unit length: equal texts have equal ones, different texts different ones."""
    data = hashlib.shake_256(text.encode()).digest(dimensions)
    return np.frombuffer(data, np.uint8).astype(np.float32) - 127.5


@dataclass(kw_only=True)
class EmbeddingServer(ApiDouble):
    """One server that speaks all four APIs. Use as `async with EmbeddingServer() as server`."""

    dimensions: int = DIMENSIONS
    max_words: int = 1_000_000
    """words of a text that is not yet too long"""
    most_texts: int = 1_000_000
    """in one request"""

    @property
    def texts(self) -> list[list[str]]:
        """Those of each request."""
        return [_texts(request.json) for request in self.requests]

    def reply(self, request: ServerRequest) -> ServerReply:
        dialect = DIALECTS.get(request.path)
        if dialect is None or request.method != "POST":
            return json_reply({"error": "not found"}, status=404)
        texts = _texts(request.json)
        if not all(text.strip() for text in texts):
            return dialect.refuse("input must not be empty", 422)
        if len(texts) > self.most_texts:
            return dialect.refuse(f"batch size {len(texts)} > maximum allowed batch size {self.most_texts}", 413)
        if any(len(text.split()) > self.max_words for text in texts):
            return dialect.too_long()
        wanted = request.json.get("dimensions") or request.json.get("output_dimension") or self.dimensions
        return json_reply(dialect.answer([vector_of(text, dimensions=wanted) for text in texts], request.json))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one API says things."""

    answer: Callable[[Sequence[Vectors], Mapping[str, Any]], Any]
    refuse: Callable[[str, int], ServerReply]
    too_long: Callable[[], ServerReply]


def _texts(asked: Mapping[str, Any]) -> list[str]:
    return list(asked.get("input") or asked.get("texts") or asked["inputs"])


def _openai(vectors: Sequence[Vectors], asked: Mapping[str, Any]) -> Any:
    """In an order of its own, which the API does not forbid."""
    rows = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, asked.get("encoding_format", "float"))}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 5 * len(rows), "total_tokens": 5 * len(rows)}
    return {"object": "list", "data": rows[::-1], "model": asked["model"], "usage": usage}


def _encoded(vector: Vectors, encoding: str) -> str | list[float]:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if encoding == "base64" else vector.tolist()


def _ollama(vectors: Sequence[Vectors], asked: Mapping[str, Any]) -> Any:
    rows = [vector.tolist() for vector in vectors]
    times = {"total_duration": 14_143_917, "load_duration": 1_019_500}
    return {"model": asked["model"], "embeddings": rows, **times, "prompt_eval_count": 5 * len(rows)}


def _cohere(vectors: Sequence[Vectors], asked: Mapping[str, Any]) -> Any:
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 5 * len(vectors)}}
    rows = {"float": [vector.tolist() for vector in vectors]}
    return {"id": "5d77f09a", "embeddings": rows, "texts": asked["texts"], "meta": meta}


def _tei(vectors: Sequence[Vectors], asked: Mapping[str, Any]) -> Any:
    return [(vector / np.linalg.norm(vector)).tolist() for vector in vectors]


def _tei_refusal(message: str, status: int) -> ServerReply:
    return json_reply({"error": message, "error_type": "Validation"}, status=status)


OPENAI: Final = Dialect(
    answer=_openai,
    refuse=lambda message, status: error_reply(status, message),
    too_long=lambda: error_reply(400, "This model's maximum context length is 8192 tokens, however you requested 9001"),
)
DIALECTS: Final[Mapping[str, Dialect]] = {
    "/v1/embeddings": OPENAI,
    "/api/embed": Dialect(
        answer=_ollama,
        refuse=lambda message, status: json_reply({"error": message}, status=status),
        too_long=lambda: json_reply({"error": "the input length exceeds the context length"}, status=400),
    ),
    "/v2/embed": Dialect(
        answer=_cohere,
        refuse=lambda message, status: json_reply({"id": "5d77f09a", "message": message}, status=status),
        too_long=lambda: json_reply(
            {"id": "5d77f09a", "message": "too many tokens: size limit exceeded by 89 tokens"}, status=400
        ),
    ),
    "/embed": Dialect(
        answer=_tei,
        refuse=_tei_refusal,
        too_long=lambda: _tei_refusal(
            "Input validation error: `inputs` must have less than 512 tokens. Given: 534", 413
        ),
    ),
}

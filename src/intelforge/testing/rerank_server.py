"""The rerank APIs of Cohere, Jina, Voyage, TEI and vLLM, and a chat model that judges, on a loopback socket.

What it says of a text is the share of the query's words that it has.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from intelforge.testing.api_double import ApiDouble
from intelforge.testing.model_server import (
    ServerReply,
    ServerRequest,
    chat_reply,
    error_reply,
    json_reply,
)

KEY: Final = "sk-verysecret-0123456789"
CHAT: Final = "/v1/chat/completions"


def relevance(query: str, text: str) -> float:
    """The share of the query's words that a text has, in [0, 1]."""
    words = set(query.lower().split())
    return len(words & set(text.lower().split())) / max(1, len(words))


@dataclass(kw_only=True)
class RerankServer(ApiDouble):
    """One server that speaks all of them. Use as `async with RerankServer() as server`."""

    key: str = field(default=KEY, repr=False)
    """what it lets in"""
    max_words: int = 1_000_000
    """words of a pair that is not yet too long"""

    def reply(self, request: ServerRequest) -> ServerReply:
        if request.method != "POST":
            return json_reply({"detail": "Not Found"}, status=404)
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return error_reply(401, f"Incorrect API key provided: {request.headers.get('authorization')}")
        if request.path == CHAT:
            return _judged(request.json)
        api = _api(request)
        if api is None:
            return json_reply({"detail": "Not Found"}, status=404)
        query, texts = request.json["query"], request.json[api.texts]
        if not all(text.strip() for text in (query, *texts)):
            return json_reply({"message": "invalid request: text must not be empty"}, status=400)
        if len(texts) > api.most_texts:
            said = f"batch size {len(texts)} > maximum allowed batch size {api.most_texts}"
            return json_reply({"error": said, "error_type": "Validation"}, status=422)
        if any(len(query.split()) + len(text.split()) > self.max_words for text in texts):
            return api.too_long
        scores = [(place, relevance(query, text)) for place, text in enumerate(texts)]
        return json_reply(api.answer(sorted(scores, key=lambda score: -score[1]), request.json))


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """How one API says things."""

    answer: Callable[[Sequence[tuple[int, float]], Mapping[str, Any]], Any]
    too_long: ServerReply
    texts: str = "documents"
    most_texts: int = 1000


def _api(request: ServerRequest) -> Api | None:
    if request.path == "/v1/rerank" and request.headers["host"].startswith("api.voyageai.com"):
        return VOYAGE
    if request.path == "/rerank":
        return TEI if "texts" in request.json else COMPATIBLE
    if request.path == "/v1/rerank":
        return JINA if request.headers["host"].startswith("api.jina.ai") else COMPATIBLE
    return COHERE if request.path == "/v2/rerank" else None


def _rows(scores: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    return [{"index": place, "relevance_score": score} for place, score in scores]


def _cohere(scores: Sequence[tuple[int, float]], asked: Mapping[str, Any]) -> Any:
    meta = {"api_version": {"version": "2", "is_experimental": False}, "billed_units": {"search_units": 1}}
    return {"results": _rows(scores), "id": "07734bd2", "meta": meta}


def _jina(scores: Sequence[tuple[int, float]], asked: Mapping[str, Any]) -> Any:
    rows = _rows(scores)
    if asked.get("return_documents", True):
        rows = [{**row, "document": {"text": asked["documents"][row["index"]]}} for row in rows]
    return {"model": asked["model"], "object": "list", "usage": {"total_tokens": 15}, "results": rows}


def _voyage(scores: Sequence[tuple[int, float]], asked: Mapping[str, Any]) -> Any:
    return {"object": "list", "data": _rows(scores), "model": asked["model"], "usage": {"total_tokens": 15}}


def _compatible(scores: Sequence[tuple[int, float]], asked: Mapping[str, Any]) -> Any:
    rows = [{**row, "document": {"text": asked["documents"][row["index"]]}} for row in _rows(scores)]
    return {"id": "rerank-1", "model": asked.get("model", "m"), "usage": {"total_tokens": 15}, "results": rows}


def _tei(scores: Sequence[tuple[int, float]], asked: Mapping[str, Any]) -> Any:
    return [{"index": place, "score": score} for place, score in scores]


def _judged(asked: Mapping[str, Any]) -> ServerReply:
    shown = json.loads(asked["messages"][-1]["content"])
    scores = {number: round(10 * relevance(shown["query"], text)) for number, text in shown["passages"].items()}
    return chat_reply(json.dumps(scores))


COHERE: Final = Api(
    answer=_cohere,
    too_long=json_reply({"id": "07734bd2", "message": "too many tokens: size limit exceeded"}, status=400),
)
JINA: Final = Api(
    answer=_jina, too_long=json_reply({"detail": "Input text exceeds maximum length of 8192 tokens"}, status=422)
)
VOYAGE: Final = Api(
    answer=_voyage, too_long=json_reply({"detail": "Request is too large: a pair has too many tokens"}, status=400)
)
COMPATIBLE: Final = Api(
    answer=_compatible,
    too_long=error_reply(500, "input is too large to process. increase the physical batch size"),
)
TEI: Final = Api(
    answer=_tei,
    too_long=json_reply({"error": "`inputs` must have less than 512 tokens. Given: 534"}, status=413),
    texts="texts",
    most_texts=32,
)

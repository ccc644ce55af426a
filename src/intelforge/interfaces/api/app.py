"""The HTTP application: OpenAI's chat completions, embeddings and models, on the models of a workspace."""

import base64
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final

import numpy as np
from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from intelforge import __version__
from intelforge.core.chat import Done, StreamEvent
from intelforge.core.clock import new_id
from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.interfaces.api import errors
from intelforge.interfaces.api.backend import Backend
from intelforge.interfaces.api.characters import encoded, whole_characters
from intelforge.interfaces.api.gate import HEALTH, Gate
from intelforge.interfaces.api.leaving import ServerSentEvents, unless_gone
from intelforge.interfaces.api.limits import Limits
from intelforge.interfaces.api.openai_chat import chunks, completion, read_request
from intelforge.interfaces.api.reading import JSON, read_json
from intelforge.interfaces.api.wire import ChatBody, EmbeddingsBody

DONE: Final = b"data: [DONE]\n\n"

Open = Callable[[], AbstractAsyncContextManager[Backend]]
Events = AsyncGenerator[StreamEvent, None]
Handler = Callable[[Request], Awaitable[Response]]


def create_app(opened: Open, *, key: str = "", hosts: Collection[str] = (), limits: Limits | None = None) -> FastAPI:
    """The application on a backend that is open as long as it runs.

    With a key every request must bring it; `hosts` are the names by which it may be called, any when empty: without a
    key they keep web pages from reaching a server on this machine under a name of theirs.
    """
    limits = limits or Limits()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened() as backend:
            app.state.backend = backend
            yield

    app = FastAPI(title="IntelForge", version=__version__, lifespan=lifespan, openapi_url=None)
    app.state.limits = limits
    app.add_middleware(Gate, hosts=frozenset(host.lower() for host in hosts), most=limits.requests)
    app.add_exception_handler(HTTPException, errors.unroutable)
    app.add_exception_handler(Exception, errors.failed)
    app.add_api_route("/v1/chat/completions", _guarded(_chat, key), methods=["POST"], openapi_extra=_body_of(ChatBody))
    app.add_api_route("/v1/embeddings", _guarded(_embed, key), methods=["POST"], openapi_extra=_body_of(EmbeddingsBody))
    for path, handler in (
        ("/v1/models", _guarded(_models, key)),
        ("/v1/models/{name:path}", _guarded(_model, key)),
        (HEALTH, _healthy),
        ("/openapi.json", _guarded(_description, key)),
    ):
        app.add_api_route(path, handler, methods=["GET"])
        app.add_api_route(path, handler, methods=["HEAD"], include_in_schema=False)
    return app


def _body_of(kind: type[ChatBody | EmbeddingsBody]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {JSON: {"schema": kind.model_json_schema()}}}}


def _guarded(handler: Handler, key: str) -> Handler:
    """The handler behind the key, its errors as OpenAI's clients expect them."""

    async def guarded(request: Request) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if key and not hmac.compare_digest(given.encode(), key.encode()):
            return errors.respond(401, errors.body(401, "the key is missing or wrong", code="invalid_api_key"))
        try:
            return await handler(request)
        except ValidationError as error:
            return errors.invalid(error)
        except IntelForgeError as error:
            return errors.reply(error)

    return guarded


async def _chat(request: Request) -> Response:
    body = ChatBody.model_validate_json(await _read(request))
    asked, backend = read_request(body), _backend(request)
    id_ = f"chatcmpl-{new_id()}"
    if not body.stream:
        response = await unless_gone(request, backend.chat(asked, model=body.model))
        return _json(completion(response, id_=id_))
    events = backend.chat_stream(asked, model=body.model)
    # What goes wrong before the first piece still has its HTTP status.
    first = await unless_gone(request, anext(events))
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    whole = whole_characters(_again(first, events))
    return ServerSentEvents(_sent(chunks(whole, id_=id_, model=body.model, with_usage=with_usage)))


async def _again(first: StreamEvent, events: Events) -> Events:
    """The stream with its first event put back; closed when this is."""
    async with aclosing(events):
        yield first
        if not isinstance(first, Done):
            async for event in events:
                yield event


async def _sent(pieces: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    """Server-sent events. An error after the first piece is one of them, and the last."""
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                yield b"data: " + encoded(piece) + b"\n\n"
        except IntelForgeError as error:
            yield b"data: " + encoded(errors.body_of(error)) + b"\n\n"
            return
        yield DONE


async def _embed(request: Request) -> Response:
    body = EmbeddingsBody.model_validate_json(await _read(request))
    texts = [body.input] if isinstance(body.input, str) else body.input
    found = await _backend(request).embed(
        texts, model=body.model, accounting=body.accounting("embed"), local_only=body.local_only
    )
    if body.dimensions not in (None, found.vectors.shape[1]):
        message = f"dimensions: {found.model} gives {found.vectors.shape[1]}"
        return errors.respond(400, errors.body(400, message, param="dimensions", code=ErrorCode.INVALID_INPUT.value))
    vectors = np.ascontiguousarray(found.vectors, np.float32)
    as_text = body.encoding_format == "base64"
    data = [
        {
            "object": "embedding",
            "index": place,
            "embedding": base64.b64encode(vector.tobytes()).decode() if as_text else vector.tolist(),
        }
        for place, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
    return _json({"object": "list", "data": data, "model": found.model, "usage": usage})


async def _models(request: Request) -> Response:
    cards = [card.as_openai() for card in await _backend(request).models()]
    return _json({"object": "list", "data": cards})


async def _model(request: Request) -> Response:
    name = request.path_params["name"]
    for card in await _backend(request).models():
        if card.name == name:
            return _json(card.as_openai())
    message = f"there is no model {name[:60]!r}; GET /v1/models lists them"
    return errors.respond(404, errors.body(404, message, param="model", code="model_not_found"))


async def _description(request: Request) -> Response:
    return _json(request.app.openapi())


async def _healthy(_: Request) -> Response:
    return _json({"status": "ok"})


def _json(content: dict[str, Any]) -> Response:
    return Response(encoded(content), media_type=JSON)


async def _read(request: Request) -> bytes:
    return await read_json(request, request.app.state.limits)


def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend

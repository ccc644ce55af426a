"""The HTTP application: OpenAI's chat completions, embeddings and models, on the models of a workspace."""

import asyncio
import base64
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

import numpy as np
from fastapi import FastAPI, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response, StreamingResponse

from intelforge import __version__
from intelforge.core.chat import Accounting, Done, StreamEvent
from intelforge.core.clock import new_id
from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.interfaces.api import errors
from intelforge.interfaces.api.backend import Backend
from intelforge.interfaces.api.openai_chat import chunks, completion, read_request
from intelforge.interfaces.api.wire import ChatBody, EmbeddingsBody

LARGEST_BODY: Final = 32 * 1024 * 1024
"""bytes"""
DONE: Final = b"data: [DONE]\n\n"
JSON: Final = "application/json"

Open = Callable[[], AbstractAsyncContextManager[Backend]]
Events = AsyncGenerator[StreamEvent, None]
Given = TypeVar("Given")
Handler = Callable[[Request], Awaitable[Response]]


def create_app(opened: Open, *, key: str = "", hosts: Collection[str] = ()) -> FastAPI:
    """The application on a backend that is open as long as it runs.

    With a key every request must bring it; `hosts` are the names by which it may be called, any when empty: without a
    key they keep web pages from reaching a server on this machine under a name of theirs.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened() as backend:
            app.state.backend = backend
            yield

    app = FastAPI(title="IntelForge", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    if hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_api_route("/v1/chat/completions", _guarded(_chat, key), methods=["POST"], openapi_extra=_body_of(ChatBody))
    app.add_api_route("/v1/embeddings", _guarded(_embed, key), methods=["POST"], openapi_extra=_body_of(EmbeddingsBody))
    app.add_api_route("/v1/models", _guarded(_models, key), methods=["GET"])
    app.add_api_route("/v1/models/{name:path}", _guarded(_model, key), methods=["GET"])
    app.add_api_route("/healthz", _healthy, methods=["GET"])
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
        response = await _unless_gone(request, backend.chat(asked, model=body.model))
        return Response(to_json(completion(response, id_=id_)), media_type=JSON)
    events = backend.chat_stream(asked, model=body.model)
    # What goes wrong before the first piece still has its HTTP status.
    first = await _unless_gone(request, anext(events))
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    pieces = chunks(_again(first, events), id_=id_, model=body.model, with_usage=with_usage)
    return StreamingResponse(_sent(pieces), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


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
                yield b"data: " + to_json(piece) + b"\n\n"
        except IntelForgeError as error:
            yield b"data: " + to_json(errors.body_of(error)) + b"\n\n"
            return
        yield DONE


async def _embed(request: Request) -> Response:
    body = EmbeddingsBody.model_validate_json(await _read(request))
    texts = [body.input] if isinstance(body.input, str) else body.input
    found = await _backend(request).embed(
        texts, model=body.model, accounting=Accounting(user=body.user or "", purpose="embed")
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
    return Response(to_json({"object": "list", "data": data, "model": found.model, "usage": usage}), media_type=JSON)


async def _models(request: Request) -> Response:
    cards = [card.as_openai() for card in await _backend(request).models()]
    return Response(to_json({"object": "list", "data": cards}), media_type=JSON)


async def _model(request: Request) -> Response:
    name = request.path_params["name"]
    for card in await _backend(request).models():
        if card.name == name:
            return Response(to_json(card.as_openai()), media_type=JSON)
    message = f"there is no model {name!r}"
    return errors.respond(404, errors.body(404, message, param="model", code="model_not_found"))


async def _healthy() -> Response:
    return Response(b'{"status":"ok"}', media_type=JSON)


def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


async def _read(request: Request) -> bytes:
    """The body. A web page of elsewhere cannot send JSON without being asked first, so nothing else is read."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise IntelForgeError("the body is not JSON", hint=f"send it as {JSON}", code=ErrorCode.UNSUPPORTED)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise IntelForgeError("the request is larger than 32 MiB", hint="send less", code=ErrorCode.TOO_LARGE)
        parts.append(part)
    return b"".join(parts)


async def _unless_gone(request: Request, work: Awaitable[Given]) -> Given:
    """What the work gives; when the client goes away, the work is cancelled, up to the provider."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise IntelForgeError("the client went away", code=ErrorCode.INTERRUPTED)
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

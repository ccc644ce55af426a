"""OpenAI's chat completions: its requests read, its replies and chunks written."""

import base64
import binascii
import re
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    Image,
    Message,
    Part,
    Role,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)
from intelforge.core.errors import InvalidInputError
from intelforge.interfaces.api.wire import ChatBody, ImagePart, NamedTool, RefusalPart, WireMessage

ANY_OBJECT: Final = {"type": "object"}
DATA_URL: Final = re.compile(r"data:(image/[a-z0-9.+-]+);base64,", re.IGNORECASE)
FINISHED: Final = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.REFUSED: "content_filter",
}
ROLES: Final = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}


def read_request(body: ChatBody, *, user: str = "") -> ChatRequest:
    """The request, for the user that the server knows, else the one that it names.

    Raises InvalidInputError for pictures that are no data URLs.
    """
    names = {call.id: call.function.name for message in body.messages for call in message.tool_calls or ()}
    return ChatRequest(
        messages=tuple(_message(message, names) for message in body.messages),
        tools=tuple(
            Tool(
                name=tool.function.name,
                description=tool.function.description or "",
                parameters=tool.function.parameters,
            )
            for tool in body.tools or ()
        ),
        tool_choice=_tool_choice(body),
        output_schema=_schema(body),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        seed=body.seed,
        accounting=body.accounting("chat", user=user),
        local_only=body.local_only,
    )


def _tool_choice(body: ChatBody) -> str:
    choice = body.tool_choice or "auto"
    return choice.function.name if isinstance(choice, NamedTool) else choice


def _schema(body: ChatBody) -> Mapping[str, Any] | None:
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return None
    return wanted.json_schema.schema_ if wanted.json_schema else ANY_OBJECT


def _message(message: WireMessage, names: Mapping[str, str]) -> Message:
    if message.role == "tool":
        id_ = message.tool_call_id or ""
        content = "".join(part.text for part in _parts(message) if isinstance(part, Text))
        return Message(role=Role.TOOL, parts=(ToolResult(id=id_, name=names.get(id_, ""), content=content),))
    calls = (
        ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
        for call in message.tool_calls or ()
    )
    return Message(role=ROLES[message.role], parts=(*_parts(message), *calls))


def _parts(message: WireMessage) -> Iterator[Part]:
    if isinstance(message.content, str):
        yield Text(message.content)
        return
    for part in message.content or ():
        if isinstance(part, ImagePart):
            yield _image(part.image_url.url)
        else:
            yield Text(part.refusal if isinstance(part, RefusalPart) else part.text)


def _image(url: str) -> Image:
    start = DATA_URL.match(url)
    if not start:
        raise InvalidInputError("image_url is no data URL", hint="send the picture itself: data:image/png;base64,…")
    try:
        return Image(data=base64.b64decode(url[start.end() :], validate=True), media_type=start[1].lower())
    except binascii.Error as error:
        raise InvalidInputError("image_url is not valid base64", hint="encode the picture's bytes again") from error


def completion(response: ChatResponse, *, id_: str) -> dict[str, Any]:
    """The reply as a whole. What OpenAI has no place for is under `intelforge`."""
    message: dict[str, Any] = {"role": "assistant", "content": response.text or None, "refusal": None}
    if thoughts := "".join(part.text for part in response.parts if isinstance(part, Thinking)):
        message["reasoning_content"] = thoughts
    if response.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in response.tool_calls
        ]
    finish = finish_reason(response, streamed=False)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {
        "id": id_,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": response.model,
        "choices": [choice],
        "usage": usage(response),
        "intelforge": account(response),
    }


def finish_reason(response: ChatResponse, *, streamed: bool) -> str:
    """As OpenAI names it, who has no word for one that is not known.

    A whole reply without one came to its end. A stream without one may have broken off, so it is told as cut.
    """
    if response.tool_calls and response.finish_reason in (FinishReason.STOP, FinishReason.UNKNOWN):
        return FINISHED[FinishReason.TOOL_CALLS]
    return FINISHED.get(response.finish_reason) or FINISHED[FinishReason.LENGTH if streamed else FinishReason.STOP]


def usage(response: ChatResponse) -> dict[str, Any]:
    tokens = response.tokens
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read},
        "completion_tokens_details": {"reasoning_tokens": tokens.thinking},
    }


def account(response: ChatResponse) -> dict[str, Any]:
    """What the call cost, and how the reply came about."""
    return {
        "cost_usd": response.cost_usd,
        "cached": response.cached,
        "first_token_seconds": round(response.timings.first_token, 6),
        "seconds": round(response.timings.total, 6),
        "attempts": [
            {"model": one.model, "seconds": round(one.seconds, 6), "error": one.error or None}
            for one in response.attempts
        ],
        "finish_reason": response.finish_reason.value,
        "notes": list(response.notes),
        "decision": response.decision,
    }


async def chunks(
    events: AsyncGenerator[StreamEvent, None], *, id_: str, model: str, with_usage: bool
) -> AsyncGenerator[dict[str, Any], None]:
    """The chunks of a stream, the first with the role, the last with the reason why it ended.

    With usage a chunk without choices follows, and the others have a `usage` of null.
    """
    created = int(time.time())
    uncounted: dict[str, None] = {"usage": None} if with_usage else {}

    def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return {
            "id": id_,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": choices,
            **uncounted,
            **more,
        }

    yield chunk({"role": "assistant", "content": ""})
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(text):
                    yield chunk({"content": text})
                case ThinkingDelta(text):
                    yield chunk({"reasoning_content": text})
                case ToolCallDelta():
                    yield chunk({"tool_calls": [_call_delta(event)]})
                case Done(response):
                    model = response.model
                    finish = finish_reason(response, streamed=True)
                    yield chunk({}, finish, intelforge=account(response))
                    if with_usage:
                        yield chunk({}) | {"choices": [], "usage": usage(response)}


def _call_delta(delta: ToolCallDelta) -> dict[str, Any]:
    function = {"arguments": delta.arguments} | ({"name": delta.name} if delta.name else {})
    return {"index": delta.index, "function": function} | ({"id": delta.id, "type": "function"} if delta.id else {})

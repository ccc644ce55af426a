"""The values of `chat` as pydantic-ai has them, and back. Slow to import: only `pydantic_client` does so."""

import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Final

from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    PartDeltaEvent,
    PartStartEvent,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from intelforge.core.chat import (
    ChatRequest,
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
    Tokens,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)
from intelforge.models.direct_openai import TOLD_TOTAL

_FINISHES: Final = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.REFUSED,
}
SCHEMA_NAME: Final = "reply"


def parameters_of(request: ChatRequest) -> ModelRequestParameters:
    """Tools and the schema of the reply."""
    tools = [
        ToolDefinition(
            name=sendable(tool.name),
            description=sendable(tool.description),
            parameters_json_schema=sendable_json(dict(tool.parameters)),
        )
        for tool in request.tools
    ]
    if request.output_schema is None:
        return ModelRequestParameters(function_tools=tools)
    wanted = OutputObjectDefinition(json_schema=sendable_json(dict(request.output_schema)), name=SCHEMA_NAME)
    return ModelRequestParameters(function_tools=tools, output_mode="native", output_object=wanted)


def messages_of(messages: Sequence[Message]) -> list[ModelMessage]:
    """The turns, those of one side that follow each other as one."""
    found: list[ModelMessage] = []
    asked: list[ModelRequestPart] = []
    for message in messages:
        if message.role is not Role.ASSISTANT:
            asked.extend(_request_parts(message))
            continue
        if asked:
            found.append(ModelRequest(parts=asked))
            asked = []
        found.append(ModelResponse(parts=list(_response_parts(message.parts))))
    if asked:
        found.append(ModelRequest(parts=asked))
    return found


def _request_parts(message: Message) -> Iterable[ModelRequestPart]:
    if message.role is Role.SYSTEM:
        return [SystemPromptPart(sendable(message.text))]
    results = [
        ToolReturnPart(tool_name=sendable(part.name), content=sendable(part.content), tool_call_id=sendable(part.id))
        for part in message.parts
        if isinstance(part, ToolResult)
    ]
    content: list[UserContent] = []
    for part in message.parts:
        if isinstance(part, Text):
            content.append(sendable(part.text))
        elif isinstance(part, Image):
            content.append(BinaryContent(data=part.data, media_type=part.media_type))
    if not content:
        return results
    plain = "".join(str(part) for part in content) if all(isinstance(part, str) for part in content) else content
    return [*results, UserPromptPart(plain)]


def _response_parts(parts: Sequence[Part]) -> Iterable[ModelResponsePart]:
    for part in parts:
        if isinstance(part, Text):
            yield TextPart(sendable(part.text))
        elif isinstance(part, Thinking):
            yield ThinkingPart(sendable(part.text))
        elif isinstance(part, ToolCall):
            yield ToolCallPart(sendable(part.name), sendable(part.arguments), tool_call_id=sendable(part.id))


def sendable(text: str) -> str:
    """The text without halves of characters, which cannot be sent."""
    return text.encode("utf-8", "replace").decode()


def sendable_json(value: Any) -> Any:
    """The same of JSON values."""
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, dict):
        return {sendable(name): sendable_json(item) for name, item in value.items()}
    return [sendable_json(item) for item in value] if isinstance(value, list) else value


def parts_from(parts: Sequence[ModelResponsePart]) -> tuple[Part, ...]:
    """What a model said, without what only its provider understands."""
    found: list[Part] = []
    seen: set[str] = set()
    for part in parts:
        if isinstance(part, TextPart) and part.content:
            found.append(Text(part.content))
        elif isinstance(part, ThinkingPart) and part.content:
            found.append(Thinking(part.content))
        elif isinstance(part, ToolCallPart):
            own = _own_id(part.tool_call_id, seen)
            found.append(ToolCall(id=own, name=part.tool_name, arguments=_arguments(part.args)))
    return tuple(found)


def _own_id(given: str, seen: set[str]) -> str:
    """The id of a call, made its own where an earlier call of the reply has it: results go by it."""
    own, number = given, 2
    while own in seen:
        own, number = f"{given}_{number}", number + 1
    seen.add(own)
    return own


def tokens_from(usage: RequestUsage) -> Tokens:
    """Counts as told, which may be anything. What only the total has was thought: some providers leave it out."""
    if usage.unmeasured_requests:
        return Tokens(estimated=True)
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    thinking = getattr(usage, "output_reasoning_tokens", 0) or usage.details.get("reasoning_tokens", 0)
    hidden = max(0, usage.details.get(TOLD_TOTAL, 0) - read - written)
    return Tokens(
        input=read,
        output=written + hidden,
        cache_read=usage.cache_read_tokens or 0,
        cache_write=usage.cache_write_tokens or 0,
        thinking=max(thinking, hidden),
    )


def finish_from(response: ModelResponse) -> FinishReason:
    """`unknown` also where the library takes the end of the connection for the end of the reply."""
    reason = _FINISHES.get(response.finish_reason or "", FinishReason.UNKNOWN)
    details = response.provider_details or {}
    told = "finish_reason" in details or "refusal" in details
    return reason if told or reason is not FinishReason.STOP else FinishReason.UNKNOWN


async def events_from(stream: StreamedResponse) -> AsyncGenerator[StreamEvent, None]:
    """The pieces of a reply as they come, without its end."""
    calls: dict[int, int] = {}
    seen: set[str] = set()
    async for event in stream:
        if isinstance(event, PartStartEvent):
            part = event.part
            if isinstance(part, TextPart) and part.content:
                yield TextDelta(part.content)
            elif isinstance(part, ThinkingPart) and part.content:
                yield ThinkingDelta(part.content)
            elif isinstance(part, ToolCallPart):
                calls[event.index] = len(calls)
                own, arguments = _own_id(part.tool_call_id, seen), _arguments(part.args, empty="")
                yield ToolCallDelta(index=calls[event.index], id=own, name=part.tool_name, arguments=arguments)
        elif isinstance(event, PartDeltaEvent):
            delta = event.delta
            if isinstance(delta, TextPartDelta) and delta.content_delta:
                yield TextDelta(delta.content_delta)
            elif isinstance(delta, ThinkingPartDelta) and delta.content_delta:
                yield ThinkingDelta(delta.content_delta)
            elif isinstance(delta, ToolCallPartDelta) and event.index in calls:
                yield ToolCallDelta(
                    index=calls[event.index],
                    name=delta.tool_name_delta or "",
                    arguments=_arguments(delta.args_delta, empty=""),
                )


def _arguments(given: object, *, empty: str = "{}") -> str:
    if not given:
        return empty
    return given if isinstance(given, str) else json.dumps(given)

"""Schemas and tools in words, for models that take neither, and what was said before told in words too."""

import json
from dataclasses import replace
from typing import Any, Final

from intelforge.core.chat import ChatRequest, ChatResponse, Message, Part, Role, Text, ToolCall, ToolResult
from intelforge.models.protocol import Abilities

REPLY: Final = "reply"
"""how a model without tools says that it answers in words"""
_BY_SCHEMA: Final = "Reply with JSON only, without any other words, that follows this JSON schema:\n{schema}"
_BY_TOOLS: Final = """\
You can use these tools:
{tools}
Reply with one JSON object and nothing else. To use a tool: {{"tool": NAME, "arguments": {{…}}}}, with arguments that \
follow the tool's JSON schema. {otherwise}"""
_IN_WORDS: Final = 'To answer in words: {"reply": "your answer"}.'
_ONE_NEEDED: Final = "You must use a tool now."
_AGAIN: Final = "That is not what was asked for: {problem}. Reply again, with the corrected JSON only."


def schema_by_prompt(request: ChatRequest) -> ChatRequest:
    """The request with its schema in words."""
    words = _BY_SCHEMA.format(schema=json.dumps(request.output_schema, ensure_ascii=False))
    return replace(request, messages=_instructed(request.messages, words), output_schema=None)


def tools_by_prompt(request: ChatRequest, can: Abilities) -> ChatRequest:
    """The request with its tools in words, and earlier calls and results too."""
    tools = [
        {"name": tool.name, "description": tool.description, "arguments": dict(tool.parameters)}
        for tool in request.tools
    ]
    otherwise = _IN_WORDS if request.tool_choice == "auto" else _ONE_NEEDED
    if request.output_schema is not None and request.tool_choice == "auto":
        otherwise = f"{_IN_WORDS} Your answer must follow: {json.dumps(request.output_schema, ensure_ascii=False)}"
    words = _BY_TOOLS.format(tools=json.dumps(tools, ensure_ascii=False), otherwise=otherwise)
    messages = tuple(_told(message) for message in request.messages)
    return replace(
        request,
        messages=_instructed(messages, words),
        tools=(),
        tool_choice="auto",
        output_schema=_call_schema(request) if can.json_schema else None,
    )


def _call_schema(request: ChatRequest) -> dict[str, Any]:
    """What a reply may be: a call of one of the tools, or words."""
    named = request.tool_choice not in ("auto", "required")
    calls = [
        _strict(tool={"const": tool.name}, arguments=dict(tool.parameters))
        for tool in request.tools
        if not named or tool.name == request.tool_choice
    ]
    said = _strict(reply=request.output_schema or {"type": "string"})
    return {"anyOf": [*calls, said] if request.tool_choice == "auto" else calls}


def _strict(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _told(message: Message) -> Message:
    """Calls as the JSON the model wrote, results as words of the user."""
    if message.role is Role.TOOL:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        said = "\n".join(f"The tool {part.name} gave: {part.content}" for part in results)
        return replace(message, role=Role.USER, parts=(Text(said),))
    if not any(isinstance(part, ToolCall) for part in message.parts):
        return message
    return replace(message, parts=tuple(_told_part(part) for part in message.parts))


def _told_part(part: Part) -> Part:
    if not isinstance(part, ToolCall):
        return part
    return Text(f'{{"tool": {json.dumps(part.name)}, "arguments": {part.arguments or "{}"}}}')


def _instructed(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """With these words at the end of the first system message, or as one."""
    if messages and messages[0].role is Role.SYSTEM:
        return (replace(messages[0], parts=(*messages[0].parts, Text(f"\n\n{words}"))), *messages[1:])
    return (Message.of(Role.SYSTEM, words, pinned=True), *messages)


def repaired(request: ChatRequest, response: ChatResponse, problem: str) -> ChatRequest:
    wrote = Message.of(Role.ASSISTANT, response.text)
    return replace(request, messages=(*request.messages, wrote, Message.of(Role.USER, _AGAIN.format(problem=problem))))


def with_text(response: ChatResponse, text: str) -> tuple[Part, ...]:
    return (*(part for part in response.parts if not isinstance(part, Text)), Text(text))

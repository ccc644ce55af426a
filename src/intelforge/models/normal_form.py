"""A request as plain JSON values, the same for requests that ask the same."""

import hashlib
import json
from typing import Any

from intelforge.core.chat import ChatRequest, Image, Message, Part, Text, Thinking, ToolCall, ToolResult


def normal_form(request: ChatRequest) -> dict[str, Any]:
    """What is asked and how. Who asks, for whom and how long they wait is left out; images are their hash."""
    form: dict[str, Any] = {
        "messages": [_message(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": list(request.stop),
        "seed": request.seed,
        "output_schema": request.output_schema,
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in request.tools
        ],
        "tool_choice": request.tool_choice if request.tools else None,
    }
    return {name: value for name, value in form.items() if value not in (None, [])}


def fingerprint(form: object) -> str:
    """A hash of JSON values that does not depend on the order of their keys."""
    written = json.dumps(form, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role.value, "parts": [part_form(part) for part in message.parts]}


def part_form(part: Part) -> dict[str, Any]:
    """One part of a message as JSON values."""
    match part:
        case Text():
            return {"text": part.text}
        case Thinking():
            return {"thinking": part.text}
        case Image():
            return {"image": hashlib.sha256(part.data).hexdigest(), "media_type": part.media_type}
        case ToolCall():
            return {"tool_call": part.name, "id": part.id, "arguments": part.arguments}
        case ToolResult():
            return {"tool_result": part.name, "id": part.id, "content": part.content}

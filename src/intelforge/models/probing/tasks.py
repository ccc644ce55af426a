"""The standard set: what is asked, and what tells that it was done, as far as a program can see it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from intelforge.core.chat import ChatRequest, ChatResponse, Message, Role, Tool, ToolCall, ToolResult
from intelforge.core.model_reports import Skill
from intelforge.models.json_schema import first_problem, json_within

NO_EVIDENCE: Final = "No evidence found"
CITING: Final = (
    "Answer from the numbered passages alone, in one sentence, and cite the passage it is from by its number in "
    f"brackets, as in [1]. When the passages do not answer the question, reply with exactly: {NO_EVIDENCE}"
)
_CITED: Final = re.compile(r"\[(\d+)\]")

Check = Callable[[ChatResponse], str]
"""Why a reply is wrong; empty when it is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One try of one skill."""

    skill: Skill
    request: ChatRequest
    check: Check


def standard_set() -> tuple[Task, ...]:
    """All tasks but the long prompts, which depend on the model's window."""
    return (*_schemas(), *_tool_calls(), *_tool_results(), *_passages())


def _asked(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(messages=messages, temperature=0.0, **more)


def _user(text: str) -> Message:
    return Message.of(Role.USER, text)


def _schemas() -> tuple[Task, ...]:
    person = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "languages": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name", "age", "languages"],
        "additionalProperties": False,
    }
    ticket = {
        "type": "object",
        "properties": {
            "priority": {"type": "string", "enum": ["low", "medium", "high"]},
            "blocking": {"type": "boolean"},
            "hours": {"type": "number"},
        },
        "required": ["priority", "blocking", "hours"],
        "additionalProperties": False,
    }
    described = "Ines Duarte, who is 41, speaks Portuguese and Dutch. Give name, age and languages as JSON."
    reported = "Nobody can log in until this is mended; it takes 2.5 hours. Give priority, blocking and hours as JSON."
    return (
        _schema(described, person, {"name": "Ines Duarte", "age": 41, "languages": ["Portuguese", "Dutch"]}),
        _schema(reported, ticket, {"priority": "high", "blocking": True, "hours": 2.5}),
    )


def _schema(text: str, schema: Mapping[str, Any], wanted: Mapping[str, Any]) -> Task:
    def check(reply: ChatResponse) -> str:
        try:
            value = json.loads(json_within(reply.text))
        except ValueError:
            return f"it is no JSON: {_short(reply.text)}"
        if problem := first_problem(value, schema):
            return problem
        wrong = [name for name in wanted if value[name] != wanted[name]]
        return f"{wrong[0]} is {_short(json.dumps(value[wrong[0]]))}" if wrong else ""

    return Task(skill=Skill.SCHEMA, request=_asked(_user(text), output_schema=schema), check=check)


WEATHER: Final = Tool(
    name="get_weather",
    description="The weather in a city now.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
)
BOOKING: Final = Tool(
    name="book_table",
    description="Books a table in a restaurant.",
    parameters={
        "type": "object",
        "properties": {
            "restaurant": {"type": "string"},
            "people": {"type": "integer"},
            "time": {"type": "string", "description": "as 18:30"},
        },
        "required": ["restaurant", "people", "time"],
        "additionalProperties": False,
    },
)


def _tool_calls() -> tuple[Task, ...]:
    tools = (WEATHER, BOOKING)
    weather = {"city": "Lisbon", "unit": "celsius"}
    table = {"restaurant": "Bellini", "people": 4, "time": "19:30"}
    return (
        _tool_call("What is the weather in Lisbon now, in celsius?", tools, WEATHER, weather),
        _tool_call("Book a table for four at Bellini for half past seven in the evening.", tools, BOOKING, table),
    )


def _tool_call(text: str, tools: tuple[Tool, ...], wanted: Tool, arguments: Mapping[str, Any]) -> Task:
    def check(reply: ChatResponse) -> str:
        if len(reply.tool_calls) != 1:
            return f"it made {len(reply.tool_calls)} calls: {_short(reply.text)}"
        call = reply.tool_calls[0]
        if call.name != wanted.name:
            return f"it called {_short(call.name)}"
        try:
            given = json.loads(call.arguments)
        except ValueError:
            return f"its arguments are no JSON: {_short(call.arguments)}"
        if problem := first_problem(given, wanted.parameters):
            return problem
        wrong = [name for name, value in arguments.items() if _folded(given[name]) != _folded(value)]
        return f"{wrong[0]} is {_short(str(given[wrong[0]]))}" if wrong else ""

    return Task(skill=Skill.TOOL_CALL, request=_asked(_user(text), tools=tools), check=check)


def _tool_results() -> tuple[Task, ...]:
    weather = '{"temperature": 17.3, "sky": "drizzle"}'
    table = '{"booked": true, "reference": "QX-5174"}'
    return (
        _tool_result("What is the weather in Lisbon now, in celsius?", WEATHER, "Lisbon", weather, "17.3"),
        _tool_result("Book a table for two at Bellini for 20:00. Tell me the reference.", BOOKING, "B", table, "5174"),
    )


def _tool_result(text: str, tool: Tool, value: str, result: str, wanted: str) -> Task:
    arguments: dict[str, object] = {"city": value, "unit": "celsius"}
    if tool is BOOKING:
        arguments = {"restaurant": "Bellini", "people": 2, "time": "20:00"}
    call = ToolCall(id="call_1", name=tool.name, arguments=json.dumps(arguments))
    request = _asked(
        _user(text),
        Message(role=Role.ASSISTANT, parts=(call,)),
        Message(role=Role.TOOL, parts=(ToolResult(id=call.id, name=tool.name, content=result),)),
        tools=(tool,),
    )

    def check(reply: ChatResponse) -> str:
        if reply.tool_calls:
            return "it called a tool again"
        return "" if wanted in reply.text else f"it does not say {wanted}: {_short(reply.text)}"

    return Task(skill=Skill.TOOL_RESULT, request=request, check=check)


RIVERS: Final = (
    "The Orval bridge was opened in 1912 and rebuilt after the flood of 1954.",
    "The Tarn mill grinds barley for the breweries of the valley; it employs 31 people.",
    "The museum of Orval is closed on Mondays, but for the first Monday of the month.",
)
REEFS: Final = (
    "Divers counted 214 species of fish at the Kessan reef in spring.",
    "The lighthouse at Kessan is lit by hand since its motor failed.",
    "Boats to Kessan leave at nine, from the northern pier alone.",
)


def _passages() -> tuple[Task, ...]:
    return (
        _cited(RIVERS, "How many people work at the Tarn mill?", 2, "31"),
        _cited(REEFS, "From which pier do boats to Kessan leave?", 3, "north"),
        _refused(RIVERS, "Who designed the Orval bridge?"),
        _refused(REEFS, "How deep is the water at the Kessan reef?"),
    )


def _with_passages(passages: tuple[str, ...], question: str) -> ChatRequest:
    numbered = "\n".join(f"[{number}] {text}" for number, text in enumerate(passages, start=1))
    return _asked(Message.of(Role.SYSTEM, CITING), _user(f"Passages:\n{numbered}\n\nQuestion: {question}"))


def _cited(passages: tuple[str, ...], question: str, number: int, wanted: str) -> Task:
    def check(reply: ChatResponse) -> str:
        cited = {int(one) for one in _CITED.findall(reply.text)}
        if cited != {number}:
            return f"it cites {sorted(cited) or 'nothing'}: {_short(reply.text)}"
        return "" if wanted in reply.text.casefold() else f"it does not say {wanted}: {_short(reply.text)}"

    return Task(skill=Skill.CITES, request=_with_passages(passages, question), check=check)


def _refused(passages: tuple[str, ...], question: str) -> Task:
    def check(reply: ChatResponse) -> str:
        return "" if NO_EVIDENCE.casefold() in reply.text.casefold() else f"it says: {_short(reply.text)}"

    return Task(skill=Skill.REFUSES, request=_with_passages(passages, question), check=check)


def _folded(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}…"

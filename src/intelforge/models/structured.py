"""What a model cannot do by itself, done around it: replies by a schema, and tools for models that have none.

A schema that the provider does not hold the model to goes into the prompt; the reply is checked, and repaired once. A
model without tools is asked for JSON that says which tool it wants with which arguments; that becomes a tool call.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    StreamEvent,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from intelforge.core.errors import InvalidInputError
from intelforge.models.endpoint import ALLOW_MORE
from intelforge.models.failures import Failure, ProviderError, failure
from intelforge.models.in_words import REPLY, repaired, schema_by_prompt, tools_by_prompt, with_text
from intelforge.models.json_schema import first_problem, json_within, schema_problem
from intelforge.models.protocol import Abilities, Exchange, Profiles, Responder


@dataclass(slots=True)
class Adapted:
    """A responder that follows schemas and calls tools whether or not its model can.

    What a provider says that its model cannot do at all is remembered, and done around the model from then on. Tools
    and schemas that it rejects for another reason are told it in words for that one request, with a note.
    """

    inner: Responder
    profiles: Profiles | None = None
    """what was measured counts before what a provider claims"""
    _lacking: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def local(self) -> bool:
        return self.inner.local

    @property
    def abilities(self) -> Abilities:
        can = (self.profiles.abilities(self.name) if self.profiles else None) or self.inner.abilities
        return replace(
            can,
            tools=can.tools and "tools" not in self._lacking,
            json_schema=can.json_schema and "json_schema" not in self._lacking,
        )

    async def run(self, exchange: Exchange) -> AsyncGenerator[StreamEvent, None]:
        """See Responder."""
        given, can = False, self.abilities
        try:
            async with aclosing(self._run(exchange, can)) as events:
                async for event in events:
                    given = True
                    yield event
            return
        except ProviderError as error:
            asked = _asked(exchange.request, can)
            if given or error.kind is not Failure.REJECTED or not asked:
                raise
            rejected = error
        self._lacking |= rejected.lacking
        without = dict.fromkeys(rejected.lacking or asked, False)
        try:
            async with aclosing(self._run(exchange, replace(can, **without))) as events:
                async for event in events:
                    yield event if rejected.lacking else _noted(event, f"{rejected.message}: it was asked in words")
        except ProviderError as error:
            # If it rejects that as well, it was not the form.
            raise (rejected if error.kind is Failure.REJECTED else error) from None

    def _run(self, exchange: Exchange, can: Abilities) -> AsyncGenerator[StreamEvent, None]:
        request = exchange.request
        check_schemas(request, tools=not can.tools)
        if request.tools and not can.tools:
            if request.tool_choice == "none":
                return self.inner.run(replace(exchange, request=replace(request, tools=())))
            return self._checked(exchange, tools_by_prompt(request, can), _ByTools(request))
        if request.output_schema is not None and can.json_schema and exchange.stream:
            return self._live(exchange, _BySchema(request))
        if request.output_schema is not None:
            plain = request if can.json_schema else schema_by_prompt(request)
            return self._checked(exchange, plain, _BySchema(request))
        return self.inner.run(exchange)

    async def _checked(
        self, exchange: Exchange, request: ChatRequest, reading: "_ByTools | _BySchema"
    ) -> AsyncGenerator[StreamEvent, None]:
        """The reply once it has been read, after one repair if it needs one; given out when it is whole."""
        response = await self._whole(exchange, request)
        problem = reading.problem(response)
        if problem and response.finish_reason is not FinishReason.LENGTH:
            response = await self._whole(exchange, repaired(request, response, problem))
            problem = reading.problem(response)
        if problem:
            raise self._unfit(problem, response)
        response = reading.read(response)
        if exchange.stream:
            for event in _pieces(response):
                yield event
        yield Done(response)

    async def _live(self, exchange: Exchange, reading: "_BySchema") -> AsyncGenerator[StreamEvent, None]:
        """The reply as it comes, of a model that its provider holds to the schema."""
        async with aclosing(self.inner.run(exchange)) as events:
            async for event in events:
                if isinstance(event, Done) and (problem := reading.problem(event.response)):
                    raise self._unfit(problem, event.response)
                yield event

    def _unfit(self, problem: str, response: ChatResponse) -> ProviderError:
        if response.finish_reason is FinishReason.LENGTH:
            return failure(
                Failure.UNFIT, f"{self.name} had no room to finish the JSON it is asked for", hint=ALLOW_MORE
            )
        return failure(
            Failure.UNFIT,
            f"{self.name} does not write the JSON it is asked for: {problem}",
            hint="choose a model that can: intelforge models check",
        )

    async def _whole(self, exchange: Exchange, request: ChatRequest) -> ChatResponse:
        async with aclosing(self.inner.run(replace(exchange, request=request))) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.response
        raise failure(Failure.MALFORMED, f"{self.name} gave no usable reply", hint="choose another model")


def check_schemas(request: ChatRequest, *, tools: bool) -> None:
    """Raises InvalidInputError when a schema that the reply will be held against is none."""
    wanted = {} if request.output_schema is None else {"the schema of the reply": request.output_schema}
    if tools:
        wanted |= {f"the schema of the tool {tool.name!r}": tool.parameters for tool in request.tools}
    for whose, schema in wanted.items():
        if problem := schema_problem(schema):
            raise InvalidInputError(f"{whose} is no JSON schema: {problem}", hint="mend it")


@dataclass(frozen=True, slots=True)
class _BySchema:
    request: ChatRequest

    def problem(self, response: ChatResponse) -> str:
        if response.tool_calls:
            return ""
        try:
            value = json.loads(json_within(response.text))
        except (ValueError, RecursionError):
            return "it is no JSON"
        return first_problem(value, self.request.output_schema or {})

    def read(self, response: ChatResponse) -> ChatResponse:
        """With the JSON alone as its text."""
        if response.tool_calls:
            return response
        return replace(response, parts=with_text(response, json_within(response.text)))


@dataclass(frozen=True, slots=True)
class _ByTools:
    request: ChatRequest

    def problem(self, response: ChatResponse) -> str:
        try:
            value = json.loads(json_within(response.text))
        except (ValueError, RecursionError):
            # Words instead of JSON are an answer, unless a tool is needed or they must follow a schema.
            strict = self.request.tool_choice != "auto" or self.request.output_schema is not None
            return "it is no JSON" if strict else ""
        if not isinstance(value, dict):
            return "it is no JSON object"
        if "tool" not in value:
            return self._problem_in_words(value)
        tools = {tool.name: tool for tool in self.request.tools}
        if value["tool"] not in tools or (self._named and value["tool"] != self._named):
            return f"the tool must be one of {', '.join([self._named] if self._named else tools)}"
        return first_problem(value.get("arguments", {}), tools[value["tool"]].parameters)

    @property
    def _named(self) -> str:
        return "" if self.request.tool_choice in ("auto", "required") else self.request.tool_choice

    def _problem_in_words(self, value: dict[str, Any]) -> str:
        if self.request.tool_choice != "auto":
            return "it names no tool"
        if REPLY not in value:
            return f"it has neither 'tool' nor {REPLY!r}"
        return first_problem(value[REPLY], self.request.output_schema) if self.request.output_schema else ""

    def read(self, response: ChatResponse) -> ChatResponse:
        """With the tool call, or the words, that the JSON stands for."""
        try:
            value = json.loads(json_within(response.text))
        except (ValueError, RecursionError):
            return response
        if "tool" not in value:
            said = value[REPLY]
            text = said if isinstance(said, str) and not self.request.output_schema else json.dumps(said)
            return replace(response, parts=with_text(response, text))
        calls = sum(isinstance(part, ToolCall) for turn in self.request.messages for part in turn.parts)
        call = ToolCall(id=f"call_{calls + 1}", name=value["tool"], arguments=json.dumps(value.get("arguments", {})))
        kept = tuple(part for part in response.parts if not isinstance(part, Text))
        return replace(response, parts=(*kept, call), finish_reason=FinishReason.TOOL_CALLS)


def _asked(request: ChatRequest, can: Abilities) -> list[str]:
    """What was asked of the provider that it might not take."""
    wanted = {"tools": bool(request.tools), "json_schema": request.output_schema is not None}
    return [name for name, asked in wanted.items() if asked and getattr(can, name)]


def _noted(event: StreamEvent, note: str) -> StreamEvent:
    if not isinstance(event, Done):
        return event
    return Done(replace(event.response, notes=(*event.response.notes, note)))


def _pieces(response: ChatResponse) -> list[StreamEvent]:
    found: list[StreamEvent] = [TextDelta(response.text)] if response.text else []
    for index, call in enumerate(response.tool_calls):
        found.append(ToolCallDelta(index=index, id=call.id, name=call.name, arguments=call.arguments))
    return found

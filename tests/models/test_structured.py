"""Replies by a schema and tools, whether or not the model can do them by itself."""

import json
from contextlib import aclosing
from typing import Any

import pytest

from intelforge.core.chat import (
    ChatRequest,
    Done,
    FinishReason,
    Message,
    Role,
    StreamEvent,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)
from intelforge.core.errors import InvalidInputError, ModelError
from intelforge.models.failures import ProviderError
from intelforge.models.gateway_model import GatewayModel, Lent
from intelforge.models.protocol import Abilities
from intelforge.models.resilience import RetryPolicy
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.mock_model import MockModel, Rule
from intelforge.testing.model_server import (
    ModelServer,
    ServerReply,
    ServerRequest,
    chat_reply,
    error_reply,
    stream_chunk,
    stream_reply,
    tool_reply,
)

AGE: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0}},
    "required": ["age"],
    "additionalProperties": False,
}
WEATHER = Tool(
    name="weather",
    description="The weather in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PLAIN = Abilities(tools=False, json_schema=False, images=False)


@pytest.fixture
def bench(bench: GatewayBench) -> GatewayBench:
    bench.retry = RetryPolicy(retries=0)
    return bench


async def events_of(model: GatewayModel, request: ChatRequest) -> list[StreamEvent]:
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_provider_that_can_is_given_the_schema(bench: GatewayBench) -> None:
    async with ModelServer(lambda request: chat_reply('{"age": 7}')) as server:
        response = await (await bench.open(f"{server.url}/v1#tiny")).respond(ask(output_schema=AGE))
    assert json.loads(response.text) == {"age": 7}
    sent = server.requests[0].json["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"]["required"] == ["age"]


async def test_one_that_cannot_is_told_in_words_and_its_json_is_taken_out_of_them(bench: GatewayBench) -> None:
    mock = MockModel([Rule(reply='Sure! ```json\n{"age": 7}\n```')], abilities=PLAIN)
    response = await bench.chain(("a:x", mock)).respond(ask("How old?", output_schema=AGE))
    assert response.text == '{"age": 7}'
    (sent,) = mock.requests
    assert sent.output_schema is None
    assert sent.messages[0].role is Role.SYSTEM
    assert '"minimum": 0' in sent.messages[0].text
    assert sent.messages[-1].text == "How old?"


async def test_json_that_does_not_follow_the_schema_is_repaired_once(bench: GatewayBench) -> None:
    mock = MockModel([Rule(reply='{"age": -1}', times=1), Rule(reply='{"age": 1}')], abilities=PLAIN)
    response = await bench.chain(("a:x", mock)).respond(ask("How old?", output_schema=AGE))
    assert response.text == '{"age": 1}'
    assert len(response.attempts) == len(bench.store.calls) == 2
    *_, wrote, correction = mock.requests[1].messages
    assert (wrote.role, wrote.text) == (Role.ASSISTANT, '{"age": -1}')
    assert "$.age must be at least 0" in correction.text


@pytest.mark.parametrize("reply", ["I do not know.", '{"age": "seven"}', "{}", '{"age": 7, "more": 1}'])
async def test_a_model_that_cannot_be_brought_to_it_is_an_error(bench: GatewayBench, reply: str) -> None:
    mock = MockModel([Rule(reply=reply)], abilities=PLAIN)
    with pytest.raises(ModelError, match="a:x does not write the JSON") as caught:
        await bench.chain(("a:x", mock)).respond(ask(output_schema=AGE))
    assert "models check" in caught.value.hint
    assert len(mock.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("able", [Abilities(), PLAIN])
async def test_json_that_was_cut_off_is_not_repaired_and_says_how_to_allow_more(
    able: Abilities, stream: bool, bench: GatewayBench
) -> None:
    mock = MockModel([Rule(reply='{"age": 3', finish=FinishReason.LENGTH)], abilities=able)
    model = bench.chain(("a:x", mock))
    with pytest.raises(ModelError, match="no room to finish the JSON") as caught:
        await (events_of(model, ask(output_schema=AGE)) if stream else model.respond(ask(output_schema=AGE)))
    assert "llm_max_tokens" in caught.value.hint
    assert len(mock.requests) == 1


async def test_a_call_whose_arguments_were_cut_off_says_how_to_allow_more(bench: GatewayBench) -> None:
    cut = ToolCall(id="1", name="weather", arguments='{"city": "Os')
    model = bench.chain(("a:x", [Rule(tool=cut, finish=FinishReason.LENGTH)]))
    with pytest.raises(ModelError, match="'weather' with arguments that are cut off") as caught:
        await model.respond(ask(tools=(WEATHER,)))
    assert "llm_max_tokens" in caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "able"),
    [
        ({"output_schema": {"required": 5}}, Abilities()),
        ({"output_schema": {"properties": []}}, PLAIN),
        ({"tools": (Tool(name="weather", description="", parameters={"enum": 5}),)}, PLAIN),
    ],
)
async def test_a_schema_that_is_none_is_an_error_before_anything_is_asked(
    wrong: dict[str, Any], able: Abilities, bench: GatewayBench
) -> None:
    mock = MockModel([Rule(reply="{}")], abilities=able)
    with pytest.raises(InvalidInputError, match="is no JSON schema"):
        await bench.chain(("a:x", mock)).respond(ask(**wrong))
    assert mock.requests == []


async def test_a_stream_without_the_provider_s_help_comes_when_it_is_right(bench: GatewayBench) -> None:
    mock = MockModel([Rule(reply="Hm.", times=1), Rule(reply='{"age": 1}')], abilities=PLAIN)
    *given, end = await events_of(bench.chain(("a:x", mock)), ask(output_schema=AGE))
    assert given == [TextDelta('{"age": 1}')]
    assert isinstance(end, Done)
    assert end.response.text == '{"age": 1}'


async def test_a_stream_with_the_provider_s_help_comes_at_once_and_is_checked_at_its_end(bench: GatewayBench) -> None:
    model = bench.chain(("a:x", [Rule(reply='{"age": -1}')]))
    given: list[StreamEvent] = []
    with pytest.raises(ProviderError, match=r"must be at least 0, after a part") as caught:
        await read_into(given, model, ask(output_schema=AGE))
    assert given == [TextDelta('{"age": '), TextDelta("-1}")]
    assert caught.value.partial


async def read_into(given: list[StreamEvent], model: GatewayModel, request: ChatRequest) -> None:
    async with aclosing(model.stream(request)) as events:
        async for event in events:
            given += [event]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_provider_that_rejects_schemas_after_all_is_told_in_words_from_then_on(bench: GatewayBench) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        if "response_format" in request.json:
            return error_reply(400, "response_format is not supported")
        return chat_reply('{"age": 7}')

    async with ModelServer(respond) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        assert (await model.respond(ask(output_schema=AGE))).text == '{"age": 7}'
        assert (await model.respond(ask(output_schema=AGE))).text == '{"age": 7}'
        assert len(server.requests) == 3


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_tools_are_offered_called_and_answered(bench: GatewayBench) -> None:
    replies = iter([tool_reply("weather", '{"city": "Oslo"}'), chat_reply("It rains.")])
    async with ModelServer(lambda request: next(replies)) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        first = await model.respond(ask("The weather in Oslo?", tools=(WEATHER,)))
        assert first.finish_reason is FinishReason.TOOL_CALLS
        (call,) = first.tool_calls
        assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Oslo"})
        second = await model.respond(ChatRequest(messages=with_result(call, "rain"), tools=(WEATHER,)))
    assert second.text == "It rains."
    assert server.requests[0].json["tools"][0]["function"]["name"] == "weather"
    asked, called, told = server.requests[1].json["messages"]
    assert asked["content"] == "The weather in Oslo?"
    assert called["tool_calls"][0]["id"] == call.id == told["tool_call_id"]
    assert (told["role"], told["content"]) == ("tool", "rain")


def with_result(call: ToolCall, content: str) -> tuple[Message, ...]:
    return (
        Message.of(Role.USER, "The weather in Oslo?"),
        Message(role=Role.ASSISTANT, parts=(call,)),
        Message(role=Role.TOOL, parts=(ToolResult(id=call.id, name=call.name, content=content),)),
    )


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_tool_call_is_streamed(bench: GatewayBench) -> None:
    function = {"name": "weather", "arguments": ""}
    chunks = [
        stream_chunk({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}),
        stream_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]}),
        stream_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}, finish="tool_calls"),
        stream_chunk(None, tokens=(12, 5)),
        b"data: [DONE]\n\n",
    ]
    reply = ServerReply(headers=stream_reply([]).headers, chunks=chunks)
    async with ModelServer(lambda request: reply) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        assert isinstance(model, GatewayModel)
        *given, end = await events_of(model, ask(tools=(WEATHER,)))
    assert isinstance(end, Done)
    assert end.response.tool_calls == (ToolCall(id="c1", name="weather", arguments='{"city": "Oslo"}'),)
    assert all(isinstance(piece, ToolCallDelta) for piece in given)
    deltas = [piece for piece in given if isinstance(piece, ToolCallDelta)]
    assert (deltas[0].id, deltas[0].name) == ("c1", "weather")
    assert "".join(delta.arguments for delta in deltas) == '{"city": "Oslo"}'


@pytest.mark.usefixtures("allow_loopback_requests")
@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("weather", '{"city": "Os', "arguments that are no JSON object"),
        ("weather", "[1]", "arguments that are no JSON object"),
        ("bomb", "{}", "a tool that it was not given: 'bomb'"),
    ],
)
async def test_a_malformed_tool_call_is_an_error_that_names_model_and_tool(
    bench: GatewayBench, name: str, arguments: str, problem: str
) -> None:
    async with ModelServer(lambda request: tool_reply(name, arguments)) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        with pytest.raises(ModelError, match=problem) as caught:
            await model.respond(ask(tools=(WEATHER,)))
    assert f"compatible:{server.url.removeprefix('http://')}/tiny" in caught.value.message
    assert caught.value.hint


async def test_a_model_without_tools_calls_them_in_json(bench: GatewayBench) -> None:
    said = '{"tool": "weather", "arguments": {"city": "Oslo"}}'
    mock = MockModel([Rule(when=None, reply=said, times=1), Rule(reply='{"reply": "It rains."}')], abilities=PLAIN)
    model = bench.chain(("a:x", mock))
    first = await model.respond(ask("The weather in Oslo?", tools=(WEATHER,)))
    (call,) = first.tool_calls
    assert (call.id, call.name, json.loads(call.arguments)) == ("call_1", "weather", {"city": "Oslo"})
    assert (first.text, first.finish_reason) == ("", FinishReason.TOOL_CALLS)
    second = await model.respond(ChatRequest(messages=with_result(call, "rain"), tools=(WEATHER,)))
    assert second.text == "It rains."
    sent = mock.requests[1]
    assert sent.tools == ()
    assert [type(part) for message in sent.messages for part in message.parts] == [Text] * len(sent.messages)
    assert json.loads(sent.messages[2].text) == json.loads(said)
    assert sent.messages[3].text == "The tool weather gave: rain"


async def test_one_that_holds_to_schemas_is_held_to_one_of_its_tools(bench: GatewayBench) -> None:
    said = '{"tool": "weather", "arguments": {"city": "Oslo"}}'
    mock = MockModel([Rule(reply=said)], abilities=Abilities(tools=False))
    await bench.chain(("a:x", mock)).respond(ask(tools=(WEATHER,), tool_choice="required"))
    schema = mock.requests[0].output_schema
    assert schema is not None
    (only,) = schema["anyOf"]
    assert only["properties"]["tool"] == {"const": "weather"}
    assert only["properties"]["arguments"] == WEATHER.parameters


async def test_words_are_an_answer_unless_a_tool_is_required(bench: GatewayBench) -> None:
    model = bench.chain(("a:x", MockModel([Rule(reply="It rains.")], abilities=PLAIN)))
    assert (await model.respond(ask(tools=(WEATHER,)))).text == "It rains."
    with pytest.raises(ModelError, match="does not write the JSON"):
        await model.respond(ask(tools=(WEATHER,), tool_choice="required"))


@pytest.mark.parametrize(
    "said",
    ['{"tool": "bomb", "arguments": {}}', '{"tool": "weather", "arguments": {"city": 7}}', '{"else": 1}', "[]"],
)
async def test_a_call_in_json_that_makes_no_sense_is_repaired(bench: GatewayBench, said: str) -> None:
    right = '{"tool": "weather", "arguments": {"city": "Oslo"}}'
    mock = MockModel([Rule(reply=said, times=1), Rule(reply=right)], abilities=PLAIN)
    response = await bench.chain(("a:x", mock)).respond(ask(tools=(WEATHER,)))
    assert response.tool_calls[0].name == "weather"
    assert len(mock.requests) == 2


async def test_an_answer_beside_tools_follows_its_schema_too(bench: GatewayBench) -> None:
    mock = MockModel([Rule(reply='{"reply": {"age": 7}}')], abilities=PLAIN)
    response = await bench.chain(("a:x", mock)).respond(ask(tools=(WEATHER,), output_schema=AGE))
    assert json.loads(response.text) == {"age": 7}


async def test_tools_that_may_not_be_called_are_left_out(bench: GatewayBench) -> None:
    mock = MockModel([Rule(reply="It rains.")], abilities=PLAIN)
    await bench.chain(("a:x", mock)).respond(ask(tools=(WEATHER,), tool_choice="none"))
    assert mock.requests[0] == ask(max_tokens=100, tool_choice="none")


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_provider_that_rejects_tools_after_all_calls_them_in_json(bench: GatewayBench) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        if "tools" in request.json:
            return error_reply(400, "tiny does not support tools")
        return chat_reply('{"tool": "weather", "arguments": {"city": "Oslo"}}')

    async with ModelServer(respond) as server:
        response = await (await bench.open(f"{server.url}/v1#tiny")).respond(ask(tools=(WEATHER,)))
    assert response.tool_calls[0].name == "weather"


class Measured:
    """Profiles that know one model."""

    def abilities(self, model: str) -> Abilities | None:
        return PLAIN if model == "a:x" else None


async def test_what_was_measured_counts_before_what_the_provider_claims(bench: GatewayBench) -> None:
    mock = MockModel([Rule(reply='{"tool": "weather", "arguments": {"city": "Oslo"}}')])
    bench.lent = Lent(profiles=Measured())
    response = await bench.chain(("a:x", mock)).respond(ask(tools=(WEATHER,)))
    assert response.tool_calls[0].name == "weather"
    assert mock.requests[0].tools == ()


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_what_a_provider_says_its_model_lacks_is_remembered(bench: GatewayBench) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        if "tools" in request.json:
            return error_reply(400, "tiny does not support tools")
        return chat_reply('{"tool": "weather", "arguments": {"city": "Oslo"}}')

    async with ModelServer(respond) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        for _ in range(2):
            response = await model.respond(ask(tools=(WEATHER,)))
            assert response.tool_calls[0].name == "weather"
            assert response.notes == ()
    assert ["tools" in request.json for request in server.requests] == [True, False, False]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_one_tool_that_is_described_wrongly_switches_no_others_off(bench: GatewayBench) -> None:
    def respond(request: ServerRequest) -> ServerReply:
        tools = request.json.get("tools", [])
        if any(tool["function"]["name"] == "odd" for tool in tools):
            return error_reply(400, "Invalid schema for function 'odd': 'uri' is not a valid format")
        said = '{"tool": "odd", "arguments": {}}'
        if request.json.get("stream"):
            return stream_reply([said])
        return tool_reply("weather", "{}") if tools else chat_reply(said)

    odd = Tool(name="odd", description="", parameters={"type": "object", "format": "uri"})
    async with ModelServer(respond) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        response = await model.respond(ask(tools=(odd,)))
        assert response.tool_calls[0].name == "odd"
        (note,) = response.notes
        assert f"compatible:{server.url.removeprefix('http://')}/tiny does not take the tool 'odd'" in note
        other = await model.respond(ask(tools=(WEATHER,)))
        assert (other.tool_calls[0].name, other.notes) == ("weather", ())
        assert isinstance(model, GatewayModel)
        streamed = await events_of(model, ask(tools=(odd,)))
        assert isinstance(streamed[-1], Done)
        assert streamed[-1].response.notes == response.notes
    assert ["tools" in request.json for request in server.requests] == [True, False, True, True, False]


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_a_wrong_tool_that_words_do_not_help_is_named(bench: GatewayBench) -> None:
    wrong = error_reply(400, f"Invalid schema for function 'weather' in sk-{'0' * 20}")
    async with ModelServer(lambda request: wrong) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        with pytest.raises(ProviderError, match=r"/tiny does not take the tool 'weather' as it is described") as caught:
            await model.respond(ask(tools=(WEATHER,)))
    assert "mend its parameters" in caught.value.hint
    assert "sk-0" not in str(caught.value)


@pytest.mark.usefixtures("allow_loopback_requests")
async def test_what_is_rejected_for_another_reason_is_not_taken_for_a_lack(bench: GatewayBench) -> None:
    replies = iter([error_reply(400, "too hot"), error_reply(400, "too hot"), tool_reply("weather", "{}")])
    async with ModelServer(lambda request: next(replies)) as server:
        model = await bench.open(f"{server.url}/v1#tiny")
        with pytest.raises(ProviderError, match="cannot do what was asked"):
            await model.respond(ask(tools=(WEATHER,), temperature=9.0))
        await model.respond(ask(tools=(WEATHER,)))
        assert "tools" in server.requests[2].json

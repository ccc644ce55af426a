"""What goes to each provider, and what is made of what comes back."""

import json
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from intelforge.core.chat import (
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    Image,
    Message,
    Role,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tokens,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)
from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.models.failures import Failure, ProviderError
from intelforge.models.providers import COMPATIBLE, PROVIDERS
from intelforge.models.resilience import RetryPolicy
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.model_server import ServerReply, chat_reply, error_reply, stream_chunk, stream_reply

pytestmark = pytest.mark.usefixtures("allow_loopback_requests")

KEY = "sk-verysecret-0123456789"
CHAT = sorted(set(PROVIDERS) - {"anthropic"})
TOOL = Tool(name="weather", description="The weather.", parameters={"type": "object", "properties": {}})
FULL = ask(
    max_tokens=9, temperature=0.5, top_p=0.9, stop=("END",), seed=7, tools=(TOOL,), tool_choice="required", timeout=5.0
)


class Exchange:
    """Sends one request to a provider that replies what it is given."""

    def __init__(self, bench: GatewayBench) -> None:
        self.bench = bench
        self.requests: list[httpx2.Request] = []

    async def respond(self, url: str, request: ChatRequest, reply: ServerReply) -> ChatResponse:
        *_, end = await self._run(url, reply, request, stream=False)
        assert isinstance(end, Done)
        return end.response

    async def stream(self, url: str, request: ChatRequest, reply: ServerReply) -> list[StreamEvent]:
        return await self._run(url, reply, request, stream=True)

    @property
    def sent(self) -> Any:
        return json.loads(self.requests[-1].content)

    async def _run(self, url: str, reply: ServerReply, request: ChatRequest, *, stream: bool) -> list[StreamEvent]:
        def answered(asked: httpx2.Request) -> httpx2.Response:
            self.requests.append(asked)
            body = reply.body or b"".join(chunk for chunk in reply.chunks if isinstance(chunk, bytes))
            return httpx2.Response(reply.status, content=body, headers=dict(reply.headers))

        provider = PROVIDERS.get(url.partition(":")[0], COMPATIBLE)
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answered)) as self.bench.client:
            model = await self.bench.open(url, **dict.fromkeys(provider.keys[:1], KEY))
            if not stream:
                return [Done(await model.respond(request))]
            async with aclosing(model.stream(request)) as events:
                return [event async for event in events]


@pytest.fixture
def exchange(bench: GatewayBench) -> Exchange:
    return Exchange(bench)


def with_provider(reply: ServerReply) -> ServerReply:
    """As OpenRouter has it, which others ignore."""
    body = reply.json
    body["provider"] = "Somewhere"
    body["choices"][0]["native_finish_reason"] = "stop"
    return ServerReply(body=json.dumps(body).encode())


@pytest.mark.parametrize("scheme", CHAT)
async def test_a_request_goes_to_the_provider_in_its_own_words(scheme: str, exchange: Exchange) -> None:
    facts = PROVIDERS[scheme]
    request = FULL if facts.tools else ask(max_tokens=9, seed=7)
    response = await exchange.respond(f"{scheme}:@v/name", request, with_provider(chat_reply("Fine.")))
    assert (response.text, response.model) == ("Fine.", f"{scheme}:@v/name")
    (asked,) = exchange.requests
    assert str(asked.url) == f"{facts.base_url}/chat/completions"
    assert asked.headers[facts.header] == (f"Bearer {KEY}" if facts.bearer else KEY)
    assert exchange.sent["model"] == ("name" if scheme == "portkey" else "@v/name")
    assert exchange.sent["max_completion_tokens" if facts.max_completion_tokens else "max_tokens"] == 9
    assert exchange.sent[facts.seed] == 7
    if facts.tools:
        assert (exchange.sent["temperature"], exchange.sent["top_p"], exchange.sent["stop"]) == (0.5, 0.9, ["END"])
        assert exchange.sent["tool_choice"] == "required"


@pytest.mark.parametrize("name", ["gemma3:4b", "gpt-oss:120b-cloud"])
async def test_ollama_is_told_the_length_by_the_name_that_it_knows(name: str, exchange: Exchange) -> None:
    await exchange.respond(f"ollama:{name}", ask(max_tokens=9), chat_reply("Fine."))
    assert exchange.sent["max_tokens"] == 9
    assert "max_completion_tokens" not in exchange.sent


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("portkey:@openai/gpt-5", "max_completion_tokens"),
        ("https://llm.example.com/v1#openai/o3-mini", "max_completion_tokens"),
        ("portkey:@openai/gpt-4o", "max_tokens"),
        ("https://llm.example.com/v1#openai/gpt-oss-20b", "max_tokens"),
        ("openrouter:openai/gpt-5", "max_tokens"),
    ],
)
async def test_models_that_refuse_the_old_name_of_the_length_get_the_new_one(
    url: str, name: str, exchange: Exchange
) -> None:
    await exchange.respond(url, ask(max_tokens=9), with_provider(chat_reply("Fine.")))
    assert [one for one in exchange.sent if one.startswith("max_")] == [name]


async def test_ids_of_other_models_calls_fit_what_mistral_takes(exchange: Exchange) -> None:
    call = ToolCall(id="call_of_another_model", name="weather", arguments="{}")
    result = ToolResult(id=call.id, name=call.name, content="Rain.")
    turns = (
        Message.of(Role.USER, "Weather?"),
        Message(role=Role.ASSISTANT, parts=(call,)),
        Message(role=Role.TOOL, parts=(result,)),
    )
    await exchange.respond("mistral:mistral-small", ChatRequest(messages=turns, tools=(TOOL,)), chat_reply("Fine."))
    _, called, told = exchange.sent["messages"]
    assert called["tool_calls"][0]["id"] == told["tool_call_id"]
    assert len(told["tool_call_id"]) == 9
    assert told["tool_call_id"].isalnum()


async def test_halves_of_characters_keep_no_request_from_being_sent(exchange: Exchange) -> None:
    half = "x\ud800"
    turns = (
        Message.of(Role.USER, half),
        Message(role=Role.ASSISTANT, parts=(Thinking(half), ToolCall(id=half, name="weather", arguments=f'"{half}"'))),
        Message(role=Role.TOOL, parts=(ToolResult(id=half, name="weather", content=half),)),
    )
    tool = Tool(name="weather", description=half, parameters={"type": "object", "properties": {half: {}}})
    request = ChatRequest(messages=turns, tools=(tool,), stop=(half,))
    assert (await exchange.respond("openai:gpt-4o", request, chat_reply("Fine."))).text == "Fine."
    schema = {"type": "object", "title": half}
    assert (await exchange.respond("openai:gpt-4o", ask(output_schema=schema), chat_reply("{}"))).text == "{}"


async def test_an_address_may_have_a_query(exchange: Exchange) -> None:
    await exchange.respond("https://llm.example.com/openai/v1/?api-version=1#m", ask(), chat_reply("Fine."))
    (asked,) = exchange.requests
    assert str(asked.url) == "https://llm.example.com/openai/v1/chat/completions?api-version=1"


async def test_a_model_of_openrouter_without_a_vendor_is_an_error_that_says_so(exchange: Exchange) -> None:
    with pytest.raises(ConfigError) as caught:
        await exchange.respond("openrouter:gpt-5", ask(), chat_reply("Fine."))
    assert "openrouter:VENDOR/MODEL" in caught.value.hint


@pytest.mark.parametrize("scheme", CHAT)
async def test_counts_are_wished_for_only_where_the_wish_is_taken(scheme: str, exchange: Exchange) -> None:
    *_, end = await exchange.stream(f"{scheme}:@v/name", ask(), stream_reply(["Fine."]))
    assert ("stream_options" in exchange.sent) is PROVIDERS[scheme].stream_options
    assert isinstance(end, Done)
    assert end.response.tokens == Tokens(input=12, output=5)


@pytest.mark.parametrize("scheme", CHAT)
async def test_a_schema_goes_along_where_the_provider_takes_it(scheme: str, exchange: Exchange) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    await exchange.respond(f"{scheme}:@v/name", ask(output_schema=schema), with_provider(chat_reply('{"age": 1}')))
    known = PROVIDERS[scheme].json_schema and scheme != "openrouter"  # where it depends on the vendor
    assert ("response_format" in exchange.sent) is known


async def test_one_tool_may_be_demanded_by_name(exchange: Exchange) -> None:
    other = Tool(name="time", description="", parameters={"type": "object"})
    await exchange.respond("openai:gpt-x", ask(tools=(TOOL, other), tool_choice="time"), chat_reply("Fine."))
    assert exchange.sent["tool_choice"]["function"]["name"] == "time"


async def test_every_turn_and_part_goes_along(exchange: Exchange) -> None:
    call = ToolCall(id="c1", name="weather", arguments='{"city": "Oslo"}')
    messages = (
        Message.of(Role.SYSTEM, "Be short."),
        Message(role=Role.USER, parts=(Text("What is it?"), Image(data=b"\x89png", media_type="image/png"))),
        Message(role=Role.ASSISTANT, parts=(Thinking("Hm."), Text("Let me look."), call)),
        Message(role=Role.TOOL, parts=(ToolResult(id="c1", name="weather", content="rain"),)),
        Message.of(Role.USER, "And?"),
    )
    await exchange.respond("openai:gpt-x", ChatRequest(messages=messages, tools=(TOOL,)), chat_reply("Rain."))
    system, user, assistant, tool, last = exchange.sent["messages"]
    assert (system["role"], system["content"]) == ("system", "Be short.")
    assert user["content"][0] == {"type": "text", "text": "What is it?"}
    assert user["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert assistant["tool_calls"][0]["function"]["name"] == "weather"
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"city": "Oslo"}
    assert "Let me look." in assistant["content"]
    assert (tool["tool_call_id"], tool["content"]) == ("c1", "rain")
    assert last["content"] == "And?"


async def test_thinking_and_all_kinds_of_tokens_come_back(exchange: Exchange) -> None:
    body = chat_reply("Fine.").json
    body["choices"][0]["message"]["reasoning_content"] = "Hm."
    body["usage"] |= {
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    response = await exchange.respond("deepseek:deepseek-reasoner", ask(), ServerReply(body=json.dumps(body).encode()))
    assert response.parts == (Thinking("Hm."), Text("Fine."))
    assert response.tokens == Tokens(input=12, output=5, cache_read=4, thinking=3)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("scheme", "told", "written"),
    [
        ("gemini", {"total_tokens": 60}, Tokens(output=48, thinking=43)),
        ("gemini", {"total_tokens": 17}, Tokens(output=5)),
        ("gemini", {"total_tokens": 3}, Tokens(output=5)),
        (
            "openai",
            {"total_tokens": 17, "completion_tokens_details": {"reasoning_tokens": 3}},
            Tokens(output=5, thinking=3),
        ),
        (
            "xai",
            {"total_tokens": 60, "completion_tokens_details": {"reasoning_tokens": 43}},
            Tokens(output=48, thinking=43),
        ),
    ],
)
async def test_thinking_that_only_the_total_has_is_charged(
    scheme: str, told: dict[str, Any], written: Tokens, stream: bool, exchange: Exchange
) -> None:
    body = chat_reply("Fine.").json
    body["usage"] |= told
    if not stream:
        reply = ServerReply(body=json.dumps(body).encode())
        response = await exchange.respond(f"{scheme}:m", ask(max_tokens=64), reply)
    else:
        last = json.dumps({**body, "object": "chat.completion.chunk", "choices": []})
        pieces = [stream_chunk({"content": "Fine."}), stream_chunk({}, finish="stop"), f"data: {last}\n\n".encode()]
        reply = ServerReply(headers={"content-type": "text/event-stream"}, chunks=[*pieces, b"data: [DONE]\n\n"])
        *_, end = await exchange.stream(f"{scheme}:m", ask(max_tokens=64), reply)
        assert isinstance(end, Done)
        response = end.response
    assert response.tokens == replace(written, input=12)


@pytest.mark.parametrize("model", ["gemini:m", "openrouter:google/m"])
async def test_the_total_of_a_reply_that_departs_from_openai_s_form_counts_too(model: str, exchange: Exchange) -> None:
    body = with_provider(chat_reply("Fine.")).json
    body |= {"service_tier": "gold", "usage": {**body["usage"], "total_tokens": 60}}
    response = await exchange.respond(model, ask(max_tokens=64), ServerReply(body=json.dumps(body).encode()))
    assert response.tokens == Tokens(input=12, output=48, thinking=43)


async def test_thinking_is_streamed(exchange: Exchange) -> None:
    chunks = [
        stream_chunk({"reasoning_content": "Hm."}),
        stream_chunk({"content": "Fine."}),
        stream_chunk({}, finish="stop"),
        b"data: [DONE]\n\n",
    ]
    reply = ServerReply(headers={"content-type": "text/event-stream"}, chunks=chunks)
    *given, end = await exchange.stream("deepseek:deepseek-reasoner", ask(), reply)
    assert given == [ThinkingDelta("Hm."), TextDelta("Fine.")]
    assert isinstance(end, Done)
    assert end.response.tokens.estimated
    assert "told no token counts" in end.response.notes[0]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", FinishReason.STOP), ("length", FinishReason.LENGTH), ("content_filter", FinishReason.REFUSED)],
)
async def test_why_a_reply_ended_comes_back(finish: str, reason: FinishReason, exchange: Exchange) -> None:
    body = chat_reply("Fine.").json
    body["choices"][0]["finish_reason"] = finish
    reply = ServerReply(body=json.dumps(body).encode())
    assert (await exchange.respond("openai:gpt-x", ask(), reply)).finish_reason is reason


async def test_a_refusal_is_an_error_that_says_so(exchange: Exchange) -> None:
    body = chat_reply("").json
    body["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I cannot."}
    with pytest.raises(ModelError, match="openai:gpt-x refused to answer") as caught:
        await exchange.respond("openai:gpt-x", ask(), ServerReply(body=json.dumps(body).encode()))
    assert caught.value.error_code is ErrorCode.REJECTED


async def test_an_empty_reply_that_was_cut_says_how_to_allow_more(exchange: Exchange) -> None:
    body = chat_reply("").json
    body["choices"][0]["finish_reason"] = "length"
    with pytest.raises(ModelError, match="empty reply") as caught:
        await exchange.respond("openai:gpt-x", ask(), ServerReply(body=json.dumps(body).encode()))
    assert "llm_max_tokens" in caught.value.hint


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx2.ConnectTimeout, Failure.UNREACHABLE),
        (httpx2.ConnectError, Failure.UNREACHABLE),
        (httpx2.PoolTimeout, Failure.UNREACHABLE),
        (httpx2.ReadTimeout, Failure.TIMEOUT),
        (httpx2.ReadError, Failure.BROKEN),
        (httpx2.WriteError, Failure.BROKEN),
        (httpx2.RemoteProtocolError, Failure.BROKEN),
    ],
)
async def test_what_was_not_sent_is_told_from_what_may_have_been_done(
    raised: type[httpx2.TransportError], kind: Failure, bench: GatewayBench
) -> None:
    def respond(request: httpx2.Request) -> httpx2.Response:
        raise raised("no", request=request)

    bench.retry = RetryPolicy(retries=0)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as bench.client:
        model = await bench.open("openai:gpt-x", OPENAI_API_KEY=KEY)
        with pytest.raises(ProviderError) as caught:
            await model.respond(ask())
    assert caught.value.kind is kind
    (call,) = bench.store.calls
    assert call.charged_usd == (0.0 if kind is Failure.UNREACHABLE else call.reserved_usd)


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (413, "Request too large on tokens per minute", Failure.TOO_LONG),
        (414, "", Failure.TOO_LONG),
        (405, "", Failure.MISCALLED),
        (415, "", Failure.MISCALLED),
        (408, "", Failure.SERVER),
        (498, "", Failure.SERVER),
        (400, "API key not valid. Please pass a valid API key.", Failure.KEY),
        (400, "Model Not Exist", Failure.MISSING),
        (400, "The response was filtered: the prompt triggered the content management policy", Failure.FILTERED),
        (403, "Content violates usage guidelines.", Failure.FILTERED),
        (403, "this key may not use it", Failure.KEY),
        (400, "temperature is too high", Failure.REJECTED),
    ],
)
async def test_what_is_wrong_with_a_request_is_neither_tried_again_nor_held_against_its_model(
    status: int, said: str, kind: Failure, exchange: Exchange
) -> None:
    with pytest.raises(ProviderError) as caught:
        await exchange.respond("groq:m", ask(), error_reply(status, said))
    assert caught.value.kind is kind
    assert len(exchange.requests) == (3 if kind is Failure.SERVER else 1)
    assert caught.value.advice.ill is (kind is Failure.SERVER)


async def test_a_failure_is_its_own_while_another_is_dealt_with(exchange: Exchange) -> None:
    with pytest.raises(ProviderError) as first:
        await exchange.respond("groq:m", ask(), error_reply(401, "no"))
    try:
        raise first.value
    except ProviderError:
        with pytest.raises(ProviderError) as second:
            await exchange.respond("mistral:m", ask(), error_reply(400, "temperature is too high"))
    assert second.value.kind is Failure.REJECTED
    assert "mistral:m" in second.value.message


async def test_what_a_provider_repeats_endlessly_is_not_read_to_its_end(exchange: Exchange) -> None:
    with pytest.raises(ProviderError) as caught:
        await exchange.respond("groq:m", ask(), error_reply(400, f"too hot {'x' * 100_000} context length exceeded"))
    assert caught.value.kind is Failure.REJECTED


def anthropic_reply(content: list[dict[str, Any]], stop: str) -> ServerReply:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 2},
    }
    return ServerReply(body=json.dumps(body).encode(), headers={"content-type": "application/json"})


@pytest.fixture
def anthropic() -> str:
    pytest.importorskip("anthropic")
    return "anthropic:claude-brand-new"


async def test_anthropic_is_asked_in_its_own_interface(anthropic: str, exchange: Exchange) -> None:
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
    request = ChatRequest(
        messages=(Message.of(Role.SYSTEM, "Be short."), Message.of(Role.USER, "The weather?")),
        tools=(TOOL,),
        max_tokens=50,
    )
    response = await exchange.respond(
        anthropic, request, anthropic_reply([{"type": "text", "text": "Well."}, call], "tool_use")
    )
    (asked,) = exchange.requests
    assert str(asked.url).startswith("https://api.anthropic.com/v1/messages")
    assert asked.headers["x-api-key"] == KEY
    assert "authorization" not in asked.headers
    assert exchange.sent["max_tokens"] == 50
    assert "Be short." in json.dumps(exchange.sent["system"])
    assert response.text == "Well."
    assert response.tool_calls == (ToolCall(id="t1", name="weather", arguments='{"city": "Oslo"}'),)
    assert (response.finish_reason, response.tokens.cache_read) == (FinishReason.TOOL_CALLS, 2)


@pytest.mark.usefixtures("anthropic")
async def test_a_schema_that_a_library_cannot_write_is_told_in_words(exchange: Exchange) -> None:
    schema = {"type": ["object", "null"], "properties": {"a": {}}}
    reply = anthropic_reply([{"type": "text", "text": '{"a": 1}'}], "end_turn")
    response = await exchange.respond("anthropic:claude-sonnet-5", ask(output_schema=schema), reply)
    assert response.text == '{"a": 1}'
    assert any("asked in words" in note for note in response.notes)
    assert response.attempts[0].cost_usd == 0.0
    assert len(exchange.requests) == 1


async def test_an_image_of_no_kind_is_the_request_s_fault_and_costs_nothing(exchange: Exchange) -> None:
    seen = Message(role=Role.USER, parts=(Image(data=b"x", media_type="nonsense"),))
    with pytest.raises(ProviderError, match="cannot do what was asked") as caught:
        await exchange.respond("openai:gpt-4o", ChatRequest(messages=(seen,)), chat_reply("Fine."))
    assert "images" in caught.value.hint
    assert exchange.requests == []
    assert {call.cost_usd for call in exchange.bench.store.calls} == {0.0}


async def test_anthropic_says_why_it_stopped(anthropic: str, exchange: Exchange) -> None:
    reply = anthropic_reply([{"type": "text", "text": "Well."}], "end_turn")
    assert (await exchange.respond(anthropic, ask(), reply)).finish_reason is FinishReason.STOP


async def test_anthropic_streams(anthropic: str, exchange: Exchange) -> None:
    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    start = anthropic_reply([], "").json | {"stop_reason": None}
    chunks = [
        event("message_start", message=start),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Well."}),
        event("content_block_stop", index=0),
        event(
            "content_block_start",
            index=1,
            content_block={"type": "tool_use", "id": "t1", "name": "weather", "input": {}},
        ),
        event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"city": "Oslo"}'}),
        event("content_block_stop", index=1),
        event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 7}),
        event("message_stop"),
    ]
    reply = ServerReply(headers={"content-type": "text/event-stream"}, chunks=chunks)
    *given, end = await exchange.stream(anthropic, ask(tools=(TOOL,)), reply)
    assert TextDelta("Well.") in given
    assert "".join(piece.arguments for piece in given if isinstance(piece, ToolCallDelta)) == '{"city": "Oslo"}'
    assert isinstance(end, Done)
    assert end.response.tokens.output == 7
    assert end.response.tool_calls[0].name == "weather"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, "authentication_error", ErrorCode.REFUSED),
        (404, "not_found_error", ErrorCode.MISSING_MODEL),
        (529, "overloaded_error", ErrorCode.MODEL_FAILED),
    ],
)
async def test_anthropic_s_errors_are_ours_without_the_key(
    anthropic: str, status: int, kind: str, code: ErrorCode, exchange: Exchange
) -> None:
    body = {"type": "error", "error": {"type": kind, "message": f"key {KEY} is no good"}}
    with pytest.raises(ModelError) as caught:
        await exchange.respond(anthropic, ask(), ServerReply(status=status, body=json.dumps(body).encode()))
    assert caught.value.error_code is code
    assert KEY not in f"{caught.value!r} {caught.value.__context__!r}"

"""The application by OpenAI's own client, on a backend whose replies are given."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
from fastapi import FastAPI

from intelforge.core.chat import (
    Accounting,
    ChatResponse,
    Done,
    FinishReason,
    Image,
    Role,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)
from intelforge.core.errors import ErrorCode, ModelError
from intelforge.interfaces.api.app import create_app
from intelforge.testing.api_server import REPLY, ScriptedBackend

CALL = ToolCall(id="call_1", name="weather", arguments='{"city": "Bern"}')
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
HELLO = [{"role": "user", "content": "Hello?"}]


@asynccontextmanager
async def running(backend: ScriptedBackend, **how: Any) -> AsyncIterator[FastAPI]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[ScriptedBackend]:
        yield backend

    app = create_app(opened, **how)
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def requests(backend: ScriptedBackend, base_url: str, **how: Any) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        running(backend, **how) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=base_url) as http,
    ):
        yield http


@asynccontextmanager
async def client(backend: ScriptedBackend, *, key: str = "none", **how: Any) -> AsyncIterator[Any]:
    """OpenAI's client, talking to the application without a socket; its overloads say nothing about a server."""
    async with running(backend, **how) as app:
        transport = httpx2.ASGITransport(app=app)
        async with (
            httpx2.AsyncClient(transport=transport) as http,
            openai.AsyncOpenAI(base_url="http://localhost/v1", api_key=key, max_retries=0, http_client=http) as client,
        ):
            yield client


async def test_a_reply_has_its_words_counts_and_account() -> None:
    async with client(ScriptedBackend()) as api:
        reply = await api.chat.completions.create(model="auto", messages=HELLO)
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("Hello.", "stop")
    assert (reply.model, reply.object) == ("mock:one", "chat.completion")
    assert reply.usage
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (7, 3, 10)
    assert reply.usage.prompt_tokens_details.cached_tokens == 2
    assert reply.choices[0].message.reasoning_content == "hm"
    assert reply.intelforge["cost_usd"] == 0.25


async def test_what_is_asked_arrives() -> None:
    backend = ScriptedBackend()
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    async with client(backend) as api:
        await api.chat.completions.create(
            model="auto",
            messages=[
                {"role": "developer", "content": "Be short."},
                {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            ],
            tools=[WEATHER],
            tool_choice={"type": "function", "function": {"name": "weather"}},
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
            max_completion_tokens=9,
            temperature=0.5,
            top_p=0.9,
            stop="END",
            seed=4,
            user="ann",
        )
    (asked,) = backend.asked
    assert [message.role for message in asked.messages] == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL]
    assert asked.messages[1].parts == (Text("What is this?"), Image(data=b"hi", media_type="image/png"))
    assert asked.messages[2].parts == (ToolCall(id="call_1", name="weather", arguments="{}"),)
    assert asked.messages[3].parts == (ToolResult(id="call_1", name="weather", content="rain"),)
    assert (asked.tools[0].name, asked.tool_choice, asked.output_schema) == ("weather", "weather", {"type": "object"})
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.stop, asked.seed) == (9, 0.5, 0.9, ("END",), 4)
    assert asked.accounting == Accounting(user="ann", purpose="chat")


async def test_a_request_names_user_team_and_run() -> None:
    backend = ScriptedBackend()
    metadata = {"team": "sales", "run": "r1", "ticket": "4711"}
    async with client(backend) as api:
        await api.chat.completions.create(model="auto", messages=HELLO, user="ann", metadata=metadata)
        await api.embeddings.create(model="mock:e", input="a", user="ann", extra_body={"metadata": metadata})
        await api.embeddings.create(model="mock:e", input="a")
        with pytest.raises(openai.BadRequestError, match=r"metadata\.team"):
            await api.chat.completions.create(model="auto", messages=HELLO, metadata={"team": 7})
    whom = Accounting(user="ann", team="sales", run="r1")
    assert [asked.accounting for asked in backend.asked] == [replace(whom, purpose="chat")]
    assert backend.embedded == [(replace(whom, purpose="embed"), False), (Accounting(purpose="embed"), False)]


async def test_a_request_may_be_kept_on_this_machine() -> None:
    backend = ScriptedBackend()
    async with client(backend) as api:
        for said in ("true", "false"):
            await api.chat.completions.create(model="auto", messages=HELLO, metadata={"local_only": said})
            await api.embeddings.create(model="mock:e", input="a", extra_body={"metadata": {"local_only": said}})
        with pytest.raises(openai.BadRequestError, match=r"metadata\.local_only"):
            await api.chat.completions.create(model="auto", messages=HELLO, metadata={"local_only": "perhaps"})
    assert [asked.local_only for asked in backend.asked] == [True, False]
    assert [local_only for _, local_only in backend.embedded] == [True, False]


async def test_tool_calls_come_back() -> None:
    reply = ChatResponse(parts=(CALL,), model="mock:one", finish_reason=FinishReason.TOOL_CALLS)
    async with client(ScriptedBackend(reply)) as api:
        choice = (await api.chat.completions.create(model="auto", messages=HELLO, tools=[WEATHER])).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls] == [
        ("call_1", "weather", '{"city": "Bern"}')
    ]


async def test_a_stream_gives_pieces_then_the_reason_and_the_counts() -> None:
    events = (
        ThinkingDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo."),
        ToolCallDelta(index=0, id="call_1", name="weather"),
        ToolCallDelta(index=0, arguments="{}"),
        Done(REPLY),
    )
    async with client(ScriptedBackend(events=events)) as api:
        stream = await api.chat.completions.create(
            model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        pieces = [piece async for piece in stream]
    deltas = [piece.choices[0].delta for piece in pieces if piece.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Hello."
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert (calls[0].id, calls[0].function.name, calls[1].function.arguments) == ("call_1", "weather", "{}")
    assert deltas[0].role == "assistant"
    assert pieces[-2].choices[0].finish_reason == "stop"
    assert pieces[-1].usage.total_tokens == 10
    assert len({piece.id for piece in pieces}) == 1


async def test_an_error_before_the_first_piece_has_its_status() -> None:
    broken = ModelError("openai:x refused the key", hint="check it", code=ErrorCode.REFUSED)
    async with client(ScriptedBackend(events=[broken])) as api:
        with pytest.raises(openai.InternalServerError, match="refused the key; check it") as raised:
            await api.chat.completions.create(model="auto", messages=HELLO, stream=True)
    assert raised.value.status_code == 502


async def test_an_error_in_mid_stream_ends_it_and_is_raised_by_the_client() -> None:
    broken = ModelError("openai:x broke off", hint="try again")
    async with client(ScriptedBackend(events=[TextDelta("Hel"), broken])) as api:
        stream = await api.chat.completions.create(model="auto", messages=HELLO, stream=True)
        assert [(await anext(stream)).choices[0].delta.content for _ in range(2)] == ["", "Hel"]
        with pytest.raises(openai.APIError, match="broke off"):
            await anext(stream)


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"model": "nobody"}, 404, "there is no model 'nobody'"),
        ({"messages": []}, 400, "messages: "),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "tool_call_id"),
        ({"temperature": 3}, 400, "temperature: "),
        ({"n": 2}, 400, "n: "),
        ({"response_format": {"type": "json_schema"}}, 400, "needs json_schema"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}
                ]
            },
            422,
            "no data URL",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}],
                    }
                ]
            },
            422,
            "not valid base64",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(changed: dict[str, Any], status: int, said: str) -> None:
    async with client(ScriptedBackend()) as api:
        with pytest.raises(openai.APIStatusError) as raised:
            await api.chat.completions.create(**{"model": "auto", "messages": HELLO, **changed})
    assert raised.value.status_code == status
    assert said in raised.value.message


async def test_embeddings_come_as_numbers_and_as_bytes() -> None:
    async with client(ScriptedBackend()) as api:
        packed = await api.embeddings.create(model="mock:e", input=["a", "bcd"])
        plain = await api.embeddings.create(model="mock:e", input="bcd", encoding_format="float", dimensions=2)
        with pytest.raises(openai.BadRequestError, match="mock:e gives 2"):
            await api.embeddings.create(model="mock:e", input="bcd", dimensions=7)
    assert [each.embedding for each in packed.data] == [[1.0, 0.5], [3.0, 0.5]]
    assert plain.data[0].embedding == [3.0, 0.5]
    assert packed.usage.total_tokens == 2


@pytest.mark.parametrize(("number", "said"), [(0, "these are 0 texts"), (2049, "these are 2,049 texts")])
async def test_so_many_texts_are_refused_with_how_many_are_taken(number: int, said: str) -> None:
    async with client(ScriptedBackend()) as api:
        with pytest.raises(openai.BadRequestError, match=f"input: {said}; send 1 to 2,048"):
            await api.embeddings.create(model="mock:e", input=["a"] * number)


async def test_models_are_listed_and_found_by_name() -> None:
    async with client(ScriptedBackend()) as api:
        names = [model.id async for model in api.models.list()]
        assert (await api.models.retrieve("mock:one")).owned_by == "mock"
        with pytest.raises(openai.NotFoundError, match="no model 'three'"):
            await api.models.retrieve("three")
    assert names == ["mock:one", "http://host/v1#two"]


async def test_a_key_is_asked_for_and_never_said() -> None:
    async with client(ScriptedBackend(), key="wrong") as api:
        assert await api.chat.completions.create(model="auto", messages=HELLO)
    async with requests(ScriptedBackend(), "http://any", key="s3cret") as http:
        for given in ("", "Bearer s3cre", "Bearer ü"):
            for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions")):
                reply = await http.request(method, path, headers=[(b"authorization", given.encode())], content=b"{}")
                assert reply.status_code == 401
                assert "s3cret" not in reply.text
        right = await http.get("/v1/models", headers={"authorization": "Bearer s3cret"})
        assert right.status_code == 200
        assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_a_web_page_cannot_use_a_server_without_a_key() -> None:
    """Neither by a form, which needs no leave but cannot send JSON, nor by a name of its own for this machine."""
    backend = ScriptedBackend()
    async with requests(backend, "http://localhost", hosts=("localhost",)) as http:
        body = json.dumps({"model": "auto", "messages": HELLO})
        form = await http.post("/v1/chat/completions", content=body, headers={"content-type": "text/plain"})
        assert form.status_code == 415
        rebound = await http.post(
            "http://attacker.example/v1/chat/completions",
            content=body,
            headers={"content-type": "application/json"},
        )
        assert rebound.status_code == 400
        page = {"content-type": "application/json", "origin": "http://attacker.example"}
        assert "access-control-allow-origin" not in (await http.options("/v1/models", headers=page)).headers
    assert backend.asked == []


async def test_a_body_that_is_no_json_or_too_large_is_refused() -> None:
    async with requests(ScriptedBackend(), "http://x") as http:
        kind = {"content-type": "application/json"}
        broken = await http.post("/v1/chat/completions", content=b"{", headers=kind)
        assert (broken.status_code, "Invalid JSON" in broken.json()["error"]["message"]) == (400, True)
        large = await http.post("/v1/chat/completions", content=b" " * (32 * 1024 * 1024 + 1), headers=kind)
        assert large.status_code == 413


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_the_call(stream: bool) -> None:
    backend = ScriptedBackend(hangs=asyncio.Event())
    assert backend.hangs
    sent: list[Any] = []
    body = json.dumps({"model": "auto", "messages": HELLO, "stream": stream}).encode()
    received = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        if message := next(received, None):
            return message
        assert backend.hangs
        await backend.hangs.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
    }
    async with running(backend) as app, asyncio.timeout(10):
        await app({**scope, "app": app, "state": {}}, receive, send)
    assert backend.cancelled


async def test_every_refusal_has_openais_form() -> None:
    kind = {"content-type": "application/json"}
    async with requests(ScriptedBackend(), "http://localhost", hosts=("localhost",)) as http:
        replies = [
            await http.get("/v1/nothing"),
            await http.get("/v1/chat/completions"),
            await http.delete("/v1/models"),
            await http.post("/v1/chat/completions", content=b"[]", headers=kind),
            await http.post("/v1/chat/completions", content=b"{}", headers={"content-type": "text/xml"}),
            await http.get("http://attacker.example/v1/models"),
        ]
    assert [reply.status_code for reply in replies] == [404, 405, 405, 400, 415, 400]
    assert (replies[1].headers["allow"], "takes POST" in replies[1].text) == ("POST", True)
    for reply in replies:
        error = reply.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
    assert "does not go by the name 'attacker.example'" in replies[-1].text


async def test_a_fault_of_the_server_is_told_without_its_trace() -> None:
    backend = ScriptedBackend(RuntimeError("s3cret place"))
    async with running(backend) as app:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as http:
            reply = await http.post("/v1/chat/completions", json={"model": "auto", "messages": HELLO})
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "internal")
    assert "s3cret" not in reply.text


@pytest.mark.parametrize(
    "text",
    [rb"\ud83d", rb"\ude00 and more", rb"\ud83d\u0041", b"\xed\xa0\xbd"],
)
async def test_half_a_character_in_a_request_is_refused(text: bytes) -> None:
    body = b'{"model": "auto", "messages": [{"role": "user", "content": "' + text + b'"}]}'
    async with requests(ScriptedBackend(), "http://x") as http:
        reply = await http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert "needs its other half" in reply.json()["error"]["message"]


async def test_the_description_is_behind_the_key_and_health_is_not() -> None:
    async with requests(ScriptedBackend(), "http://any", key="s3cret") as http:
        assert (await http.get("/openapi.json")).status_code == 401
        described = await http.get("/openapi.json", headers={"authorization": "Bearer s3cret"})
        assert "/v1/chat/completions" in described.json()["paths"]
        assert (await http.get("/healthz")).status_code == 200


async def test_heads_are_told_where_there_is_something_to_get() -> None:
    async with requests(ScriptedBackend(), "http://any") as http:
        for path in ("/healthz", "/v1/models", "/v1/models/mock:one", "/openapi.json"):
            assert (await http.head(path)).status_code == 200
        assert (await http.head("/v1/chat/completions")).status_code == 405

"""Exchanges recorded and played back."""

import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from intelforge.core.chat import (
    Accounting,
    ChatRequest,
    Done,
    FinishReason,
    Image,
    Message,
    Role,
    Text,
    TextDelta,
    Thinking,
    Tokens,
    Tool,
    ToolCall,
)
from intelforge.core.errors import ConfigError, ErrorCode, ModelError, StorageError
from intelforge.models.gateway import Gateway, Options
from intelforge.models.ledger import Ledger, MemoryLedgerStore
from intelforge.models.protocol import LanguageModel
from intelforge.models.recording import RecordedModel, Recorder, Recording
from intelforge.security.secrets import open_secrets
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.mock_model import Rule

KEY = "sk-verysecret-0123456789"
TOOL = Tool(name="weather", description="", parameters={"type": "object"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "exchanges.jsonl"


async def replay(file: Path, client: httpx2.AsyncClient) -> LanguageModel:
    model = await Gateway(client=client, ledger=Ledger(MemoryLedgerStore())).model(f"mock:replay={file}")
    assert model is not None
    return model


def recorded(bench: GatewayBench, file: Path, *rules: Rule, key: str = KEY) -> RecordedModel:
    return RecordedModel(bench.chain(("a:x", list(rules))), Recorder(str(file), {"OPENAI_API_KEY": key}))


async def test_a_reply_is_had_again_whole_and_in_pieces(
    bench: GatewayBench, file: Path, client: httpx2.AsyncClient
) -> None:
    picture = Image(data=b"png", media_type="image/png")
    asked = ChatRequest(
        messages=(
            Message.of(Role.SYSTEM, "Be short."),
            Message(role=Role.USER, parts=(Text("The weather in Oslo?"), picture)),
        ),
        tools=(TOOL,),
        temperature=0.3,
        seed=7,
        stop=("END",),
    )
    call = ToolCall(id="", name="weather", arguments='{"city": "Oslo"}')
    said = Rule(reply="Let me look.", tool=call, finish=FinishReason.TOOL_CALLS, tokens=Tokens(input=9, output=4))
    first = await recorded(bench, file, said).respond(asked)
    played = await (await replay(file, client)).respond(asked)
    assert (played.parts, played.finish_reason, played.tokens) == (first.parts, first.finish_reason, first.tokens)
    assert played.cost_usd == 0.0
    async with aclosing((await replay(file, client)).stream(asked)) as events:
        *pieces, end = [event async for event in events]
    assert pieces[:2] == [TextDelta("Let "), TextDelta("me ")]
    assert isinstance(end, Done)
    assert end.response.parts == first.parts


async def test_who_asks_and_how_long_they_wait_does_not_matter(
    bench: GatewayBench, file: Path, client: httpx2.AsyncClient
) -> None:
    await recorded(bench, file, Rule(reply="Fine.")).respond(ask(max_tokens=50))
    other = ask(accounting=Accounting(user="eve", purpose="judge"), timeout=3.0, local_only=True)
    assert (await (await replay(file, client)).respond(other)).text == "Fine."


async def test_the_same_request_gives_its_replies_in_turn(
    bench: GatewayBench, file: Path, client: httpx2.AsyncClient
) -> None:
    model = recorded(bench, file, Rule(reply="One.", times=1), Rule(reply="Two."))
    asked = [(await model.complete("What?", instructions="", purpose="answer")).text for _ in range(2)]
    again = await replay(file, client)
    played = [(await again.complete("What?", instructions="", purpose="answer")).text for _ in range(3)]
    assert asked == ["One.", "Two."]
    assert played == ["One.", "Two.", "Two."]


async def test_an_error_is_had_again_at_once(bench: GatewayBench, file: Path, client: httpx2.AsyncClient) -> None:
    model = recorded(bench, file, Rule(fault="server"))
    with pytest.raises(ModelError) as first:
        await model.respond(ask())
    with pytest.raises(ModelError) as again:
        await (await replay(file, client)).respond(ask())
    assert str(again.value) == str(first.value)
    assert again.value.error_code is first.value.error_code


async def test_a_stream_is_recorded_too(bench: GatewayBench, file: Path, client: httpx2.AsyncClient) -> None:
    async with aclosing(recorded(bench, file, Rule(reply="So it is.")).stream(ask())) as events:
        assert len([event async for event in events]) == 4
    assert (await (await replay(file, client)).respond(ask())).text == "So it is."


async def test_a_request_that_was_not_recorded_names_the_nearest(
    bench: GatewayBench, file: Path, client: httpx2.AsyncClient
) -> None:
    model = recorded(bench, file, Rule(reply="Fine."))
    await model.respond(ask("What is the tallest mountain of Norway?"))
    await model.respond(ask("How do trees drink?"))
    again = await replay(file, client)
    with pytest.raises(ModelError, match=r"the nearest is line 1, 9\d% alike; it differs in message 1") as caught:
        await again.respond(ask("What is the highest mountain of Norway?"))
    assert caught.value.error_code is ErrorCode.MISSING_MODEL
    with pytest.raises(ModelError, match="line 2, 100% alike; it differs in temperature"):
        await again.respond(ask("How do trees drink?", temperature=1.0))


async def test_no_key_is_in_the_file_and_requests_with_one_are_found_all_the_same(
    bench: GatewayBench, file: Path, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    await recorded(bench, file, Rule(reply=f"It is {KEY}.")).respond(ask(f"What is {KEY}?"))
    assert KEY not in file.read_text()
    assert (await (await replay(file, client)).respond(ask(f"What is {KEY}?"))).text == "It is ***."


async def test_keys_of_a_folder_are_in_no_recording_and_requests_with_one_are_found_all_the_same(
    tmp_path: Path, file: Path, client: httpx2.AsyncClient
) -> None:
    (tmp_path / "groq_api_key").write_text(KEY)
    secrets = open_secrets(f"folder:{tmp_path}", root=tmp_path, environment={})
    for url, record, reply in (
        (f"mock:It%20is%20{KEY}.", str(file), f"It is {KEY}."),
        (f"mock:replay={file}", "", "It is ***."),
    ):
        gateway = Gateway(
            client=client, ledger=Ledger(MemoryLedgerStore()), options=Options(record=record), secrets=secrets
        )
        model = await gateway.model(url)
        assert model is not None
        assert (await model.respond(ask(f"What is {KEY}?"))).text == reply
        assert KEY not in file.read_text()


async def test_a_secret_that_was_looked_up_later_is_in_no_recording(bench: GatewayBench, tmp_path: Path) -> None:
    (tmp_path / "db_password").write_text("correct horse")
    secrets = open_secrets(f"folder:{tmp_path}", root=tmp_path, environment={})
    file = tmp_path / "runs.jsonl"
    model = RecordedModel(bench.chain(("a:x", [Rule(reply="A correct horse.")])), Recorder(str(file), secrets))
    assert secrets["db_password"]
    await model.respond(ask())
    assert "correct horse" not in file.read_text()


@pytest.mark.parametrize("text", ["two\u2028lines", "two\u0085lines", "half \ud83d"])
async def test_any_characters_are_had_again(
    bench: GatewayBench, file: Path, client: httpx2.AsyncClient, text: str
) -> None:
    await recorded(bench, file, Rule(reply=f"you said {text}")).respond(ask(text))
    assert (await (await replay(file, client)).respond(ask(text))).text == f"you said {text}"


async def test_an_image_is_kept_as_its_hash(bench: GatewayBench, file: Path) -> None:
    picture = Message(role=Role.USER, parts=(Image(data=b"png" * 99, media_type="image/png"),))
    await recorded(bench, file, Rule(reply="A cat.")).respond(ChatRequest(messages=(picture,)))
    line = json.loads(file.read_text())
    assert len(line["request"]["messages"][0]["parts"][0]["image"]) == 64


async def test_thinking_is_kept(bench: GatewayBench, file: Path, client: httpx2.AsyncClient) -> None:
    response = await bench.chain(("a:x", [Rule(reply="Fine.")])).respond(ask())
    Recorder(str(file), {}).record(ask(), replace(response, parts=(Thinking("Hm."), Text("Fine."))))
    assert (await (await replay(file, client)).respond(ask())).parts == (Thinking("Hm."), Text("Fine."))


async def test_the_gateway_records_when_it_is_told_to(file: Path, client: httpx2.AsyncClient) -> None:
    gateway = Gateway(client=client, ledger=Ledger(MemoryLedgerStore()), options=Options(record=str(file)))
    model = await gateway.model("mock:Fine.")
    assert model is not None
    await model.respond(ask())
    assert (await (await replay(file, client)).respond(ask())).text == "Fine."


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"key": "a"}',
        "no json",
        '{"key": "a", "request": {}, "reply": {}}',
        '{"key": "a", "request": 5, "error": {"code": "model_failed", "message": "", "hint": ""}}',
    ],
)
def test_what_is_no_recording_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_text(f"\n{text}\n")
    with pytest.raises(ConfigError, match="line 2"):
        Recording.read(file, {})


def test_a_recording_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Recording.read(tmp_path / "none", {})


async def test_an_empty_one_says_so(tmp_path: Path, client: httpx2.AsyncClient) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(ModelError, match="it is empty"):
        await (await replay(tmp_path / "empty", client)).respond(ask())


async def test_a_file_that_cannot_be_written_is_told(bench: GatewayBench, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        await recorded(bench, tmp_path / "taken" / "file", Rule(reply="Fine.")).respond(ask())

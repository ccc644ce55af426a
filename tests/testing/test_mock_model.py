"""The scripted language model that ships for development."""

import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from intelforge.core.chat import Done, StreamEvent, TextDelta, Tool
from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.models.endpoint import Limits
from intelforge.models.gateway import Gateway, Options
from intelforge.models.ledger import CallState, Ledger, MemoryLedgerStore
from intelforge.models.protocol import LanguageModel
from intelforge.models.resilience import RetryPolicy
from intelforge.testing.gateway import ask
from intelforge.testing.mock_model import DEFAULT_REPLY

TOOL = Tool(name="weather", description="", parameters={"type": "object"})


@pytest.fixture
def store() -> MemoryLedgerStore:
    return MemoryLedgerStore()


async def scripted(tmp_path: Path, store: MemoryLedgerStore, *rules: dict[str, Any]) -> LanguageModel:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"rules": rules}))
    options = Options(limits=Limits(first_token=0.05, token=0.05), retry=RetryPolicy(jitter=lambda: 0.0))
    async with httpx2.AsyncClient() as client:
        model = await Gateway(client=client, ledger=Ledger(store), options=options).model(f"mock:script={script}")
    assert model is not None
    return model


async def test_the_first_rule_that_holds_counts(tmp_path: Path, store: MemoryLedgerStore) -> None:
    model = await scripted(
        tmp_path, store, {"when": "(?i)weather", "reply": "Rain."}, {"when": "time", "reply": "Noon."}
    )
    replies = [(await model.respond(ask(text))).text for text in ("The Weather?", "What time?", "Else?")]
    assert replies == ["Rain.", "Noon.", DEFAULT_REPLY]


async def test_a_rule_holds_as_often_as_it_says(tmp_path: Path, store: MemoryLedgerStore) -> None:
    model = await scripted(tmp_path, store, {"reply": "One.", "times": 1}, {"reply": "Two."})
    assert [(await model.respond(ask())).text for _ in range(3)] == ["One.", "Two.", "Two."]


async def test_a_tool_is_called(tmp_path: Path, store: MemoryLedgerStore) -> None:
    model = await scripted(tmp_path, store, {"tool": {"name": "weather", "arguments": {"city": "Oslo"}}})
    (call,) = (await model.respond(ask(tools=(TOOL,)))).tool_calls
    assert (call.id, call.name, json.loads(call.arguments)) == ("call_1", "weather", {"city": "Oslo"})


async def test_a_fault_passes_when_it_is_over(tmp_path: Path, store: MemoryLedgerStore) -> None:
    busy = {"fault": "busy", "retry_after": 0.01, "times": 1}
    model = await scripted(tmp_path, store, busy, {"reply": "Fine."})
    response = await model.respond(ask())
    assert response.text == "Fine."
    assert len(response.attempts) == 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("broken", ErrorCode.UNREACHABLE),
        ("malformed", ErrorCode.MODEL_FAILED),
        ("stall", ErrorCode.TIMED_OUT),
        ("key", ErrorCode.REFUSED),
    ],
)
async def test_a_fault_within_a_stream(tmp_path: Path, store: MemoryLedgerStore, fault: str, code: ErrorCode) -> None:
    model = await scripted(tmp_path, store, {"reply": "One two three.", "fault": fault, "after_pieces": 2})
    given: list[StreamEvent] = []
    with pytest.raises(ModelError) as caught:
        await read_into(given, model)
    assert given == [TextDelta("One "), TextDelta("two ")]
    assert caught.value.error_code is code
    assert [call.state for call in store.calls] == [CallState.FAILED]


async def read_into(given: list[StreamEvent], model: LanguageModel) -> None:
    async with aclosing(model.stream(ask())) as events:
        async for event in events:
            given += [event]


@pytest.mark.parametrize(
    ("tokens", "estimated"),
    [({"input": 3, "output": 2}, False), (None, True), ({"input": -5, "output": 2}, True), ({"input": 10**9}, True)],
)
async def test_counts_are_told_as_the_script_says_and_checked(
    tmp_path: Path, store: MemoryLedgerStore, tokens: dict[str, int] | None, estimated: bool
) -> None:
    response = await (await scripted(tmp_path, store, {"reply": "Fine.", "tokens": tokens})).respond(ask())
    assert response.tokens.estimated is estimated
    assert bool(response.notes) is estimated
    assert response.tokens.input > 0


async def test_it_is_the_same_each_time(tmp_path: Path, store: MemoryLedgerStore) -> None:
    async def run() -> list[StreamEvent]:
        model = await scripted(tmp_path, store, {"reply": "So it is."})
        async with aclosing(model.stream(ask())) as events:
            return [event async for event in events if not isinstance(event, Done)]

    assert await run() == await run() == [TextDelta("So "), TextDelta("it "), TextDelta("is.")]


@pytest.mark.parametrize(
    "rule",
    [
        {"rely": "x"},
        {"fault": "flood"},
        {"when": "("},
        {"finish": "never"},
        {"tokens": {"in": 1}},
        {"tokens": {"input": "1"}},
        {"reply": 5},
        {"times": "2"},
        {"tool": "weather"},
        {"fault": "busy", "retry_after": "1"},
        7,
    ],
)
async def test_a_script_that_makes_no_sense_is_refused(tmp_path: Path, store: MemoryLedgerStore, rule: Any) -> None:
    with pytest.raises(ConfigError, match="script"):
        await scripted(tmp_path, store, rule)


async def test_a_script_that_is_not_there_is_refused() -> None:
    async with httpx2.AsyncClient() as client:
        with pytest.raises(ConfigError, match="cannot be read"):
            await Gateway(client=client, ledger=Ledger(MemoryLedgerStore())).model("mock:script=/none")

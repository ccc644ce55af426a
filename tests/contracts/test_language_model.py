"""Every language model behaves alike, wherever its replies come from."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pydantic_ai.models
import pytest

from intelforge.core.chat import ChatRequest, Done, Message, Role, StreamEvent, TextDelta
from intelforge.core.errors import ErrorCode, IntelForgeError, ModelError
from intelforge.models.failures import Failure, failure
from intelforge.models.ledger import MemoryLedgerStore
from intelforge.models.prompting import prompt_request
from intelforge.models.protocol import LanguageModel
from intelforge.models.recording import RecordedModel, Recorder
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.language_model import ScriptedModel
from intelforge.testing.mock_model import Rule
from intelforge.testing.model_server import (
    ModelServer,
    ServerReply,
    ServerRequest,
    chat_reply,
    error_reply,
    stream_reply,
)

WORDS = " So it is. "
RULES = [Rule(when=None, reply=WORDS)]
REFUSING = [Rule(fault="key")]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where models are made."""

    bench: GatewayBench
    folder: Path
    stack: AsyncExitStack


def respond(request: ServerRequest) -> ServerReply:
    if request.json["model"] == "locked":
        return error_reply(401, "no")
    return stream_reply([" So ", "it is. "]) if request.json.get("stream") else chat_reply(WORDS)


async def scripted(at: Setting, refusing: bool) -> LanguageModel:
    return ScriptedModel([failure(Failure.KEY, "mock:scripted refused the key", hint="-") if refusing else WORDS])


async def mock(at: Setting, refusing: bool) -> LanguageModel:
    return at.bench.chain(("mock:x", REFUSING if refusing else RULES))


async def chain(at: Setting, refusing: bool) -> LanguageModel:
    return at.bench.chain(("a:x", REFUSING), ("b:y", REFUSING if refusing else RULES))


async def hedged(at: Setting, refusing: bool) -> LanguageModel:
    at.bench.hedge_seconds = 0.01
    return await chain(at, refusing) if refusing else at.bench.chain(("a:x", [Rule(fault="stall")]), ("b:y", RULES))


async def recorded(at: Setting, refusing: bool) -> LanguageModel:
    return RecordedModel(await mock(at, refusing), Recorder(str(at.folder / "file"), {}))


async def replayed(at: Setting, refusing: bool) -> LanguageModel:
    model = await recorded(at, refusing)
    for request in (ask(), prompt_request("What?", instructions="Be short.", purpose="answer")):
        await outcome(model.respond(request))
    return await at.bench.open(f"mock:replay={at.folder / 'file'}")


async def server(at: Setting, refusing: bool) -> LanguageModel:
    opened = await at.stack.enter_async_context(ModelServer(respond))
    return await at.bench.open(f"{opened.url}/v1#{'locked' if refusing else 'open'}")


Make = Callable[[Setting, bool], Awaitable[LanguageModel]]
EVERY: list[Make] = [scripted, mock, chain, hedged, recorded, replayed, server]


@pytest.fixture(params=EVERY, ids=[make.__name__ for make in EVERY])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(pydantic_ai.models, "ALLOW_MODEL_REQUESTS", True)
    found: Make = request.param
    return found


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False))
        yield Setting(GatewayBench(client=client, store=MemoryLedgerStore()), tmp_path, stack)


async def outcome(reply: Awaitable[object]) -> None:
    try:
        await reply
    except IntelForgeError:
        return


async def events_of(model: LanguageModel, request: ChatRequest) -> list[StreamEvent]:
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]


async def test_a_reply_is_whole_and_says_which_model_gave_it(make: Make, setting: Setting) -> None:
    response = await (await make(setting, False)).respond(ask())
    assert response.text == WORDS
    assert ":" in response.model
    assert response.tool_calls == ()


async def test_the_pieces_of_a_stream_are_its_reply_and_its_end_comes_last(make: Make, setting: Setting) -> None:
    *pieces, end = await events_of(await make(setting, False), ask())
    assert isinstance(end, Done)
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == end.response.text == WORDS
    assert not any(isinstance(piece, Done) for piece in pieces)


async def test_a_prompt_is_completed_without_white_space_around_it(make: Make, setting: Setting) -> None:
    response = await (await make(setting, False)).complete("What?", instructions="Be short.", purpose="answer")
    assert response.text == WORDS.strip()


async def test_a_refusal_is_a_model_error_with_a_hint(make: Make, setting: Setting) -> None:
    model = await make(setting, True)
    for asked in (model.respond(ask()), events_of(model, ask())):
        with pytest.raises(ModelError) as caught:
            await asked
        assert caught.value.error_code is ErrorCode.REFUSED
        assert caught.value.hint


async def test_a_stream_may_be_left_at_its_first_piece(make: Make, setting: Setting) -> None:
    async with aclosing((await make(setting, False)).stream(ask())) as events:
        assert isinstance(await anext(events), TextDelta | Done)
    assert all(call.state != "reserved" for call in setting.bench.store.calls)


async def test_a_model_is_asked_as_often_as_one_likes(make: Make, setting: Setting) -> None:
    model = await make(setting, False)
    turns = (Message.of(Role.SYSTEM, "Be short."), Message.of(Role.USER, "What?"))
    if make is not replayed:
        assert (await model.respond(ChatRequest(messages=turns))).text == WORDS
    assert [(await model.respond(ask())).text for _ in range(2)] == [WORDS, WORDS]

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from intelforge.core.chat import (
    Accounting,
    Attempt,
    ChatRequest,
    ChatResponse,
    Done,
    FinishReason,
    Image,
    Message,
    Part,
    Role,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    Tokens,
    Tool,
    ToolCall,
)
from intelforge.core.errors import BackendError, ConfigError, ModelError
from intelforge.models.gateway_model import Candidate, GatewayModel, Lent
from intelforge.models.protocol import Abilities, Exchange
from intelforge.models.resilience import CircuitBreaker
from intelforge.models.response_cache.cache import ResponseCache
from intelforge.models.response_cache.disk import DiskReplies
from intelforge.models.response_cache.keys import Rules, request_key
from intelforge.models.response_cache.open import open_replies
from intelforge.models.response_cache.similar import Similar
from intelforge.testing.reply_store import Clock

REQUEST = ChatRequest(
    messages=(Message.of(Role.SYSTEM, "Be brief."), Message.of(Role.USER, "How do I sort a list?")),
    accounting=Accounting(user="ann", team="blue", run="1", purpose="chat"),
    temperature=0.0,
)
REPLY = ChatResponse(
    parts=(Text("Use sorted()."),), model="openai:gpt-5", tokens=Tokens(input=20, output=5), cost_usd=0.25
)
TOOL = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {"a": {}, "b": {}}})


@dataclass
class Counting:
    """A model of a chain that gives one reply and counts how often it was asked."""

    reply: ChatResponse = REPLY
    name: str = "openai:gpt-5"
    local: bool = False
    abilities: Abilities = field(default_factory=Abilities)
    asked: int = 0
    error: Exception | None = None

    async def run(self, exchange: Exchange) -> AsyncGenerator[StreamEvent, None]:
        self.asked += 1
        if self.error:
            raise self.error
        exchange.attempts.append(Attempt(model=self.name, seconds=0.1, cost_usd=self.reply.cost_usd))
        if exchange.stream:
            yield TextDelta(self.reply.text)
        yield Done(self.reply)


def cached(inner: Counting, cache: ResponseCache) -> GatewayModel:
    candidate = Candidate(inner.name, inner, CircuitBreaker(name=inner.name))
    return GatewayModel(name=inner.name, candidates=(candidate,), lent=Lent(cache=cache))


@dataclass
class Words:
    """Vectors of the words in a question: equal words, equal vectors."""

    asked: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.error:
            raise self.error
        self.asked += texts
        return np.stack([self.vector(text) for text in texts])

    def vector(self, text: str) -> NDArray[np.float32]:
        vector = np.zeros(256, np.float32)
        for word in text.lower().strip("?").split():
            vector[hashlib.sha256(word.encode()).digest()[0]] += 1
        return vector


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[DiskReplies]:
    store = DiskReplies(tmp_path / "responses.db", clock=clock)
    yield store
    await store.close()


async def test_the_same_request_is_answered_once_and_the_second_costs_nothing(store: DiskReplies, clock: Clock) -> None:
    inner = Counting()
    cache = ResponseCache(store, clock=clock)
    model = cached(inner, cache)
    first = await model.respond(REQUEST)
    clock.now += 7200
    second = await model.respond(REQUEST)
    assert inner.asked == 1
    assert not first.cached
    assert second.cached
    assert second.text == first.text
    assert (second.cost_usd, second.tokens) == (0.0, Tokens())
    assert "from the cache, where it is since 2 hours, which saves 0.25" in second.notes[0]
    assert cache.counts.hits == 1
    assert cache.counts.saved_usd == 0.25


SECRET = "sk-verysecret-0123456789"


@pytest.mark.parametrize(
    ("parts", "question", "notes"),
    [
        ((Text(f"Your key is {SECRET}."),), "What?", ()),
        ((Text(f"Your key is {SECRET[:9]}"), Text(SECRET[9:])), "What?", ()),
        ((Thinking(f"They sent {SECRET}."), Text("Hello.")), "What?", ()),
        ((Text("It is a key."),), f"What is {SECRET}?", ()),
        ((Text("Hello."),), "What?", (f"another said {SECRET}",)),
    ],
)
async def test_what_a_secret_stands_in_is_given_and_not_kept(
    store: DiskReplies, parts: tuple[Part, ...], question: str, notes: tuple[str, ...]
) -> None:
    known: list[str] = []
    cache = ResponseCache(store, secrets=lambda: known)
    inner = Counting(reply=replace(REPLY, parts=parts, notes=notes))
    request = changed(messages=(Message.of(Role.USER, question),))
    known.append(SECRET)  # looked up after the cache was opened
    for _ in range(2):
        assert (await cached(inner, cache).respond(request)).parts == parts
    assert inner.asked == 2
    assert await store.count() == 0


async def test_a_kept_reply_says_again_what_was_left_out_of_its_request(store: DiskReplies, clock: Clock) -> None:
    cache = ResponseCache(store, clock=clock)
    await cache.keep(REQUEST, replace(REPLY, notes=("for now",)), model="a:x", notes=["3 of 9 messages were left out"])
    found = await cache.find(REQUEST, model="a:x")
    assert found is not None
    assert found.notes[1:] == ("3 of 9 messages were left out",)


def changed(**values: Any) -> ChatRequest:
    return replace(REQUEST, **values)


@pytest.mark.parametrize(
    "same",
    [
        changed(timeout=3.0),
        changed(accounting=Accounting(user="ann", team="blue", run="2", purpose="answer")),
        changed(messages=(REQUEST.messages[0], Message.of(Role.USER, "  How do I sort a list?\n"))),
        changed(messages=(REQUEST.messages[0], Message.of(Role.USER, "How do I sort a list?", pinned=True))),
        changed(
            messages=(
                REQUEST.messages[0],
                Message(role=Role.USER, parts=(Text("How do I "), Text("sort a list?"))),
            )
        ),
        changed(temperature=None),
    ],
)
async def test_what_does_not_change_the_reply_does_not_change_the_key(store: DiskReplies, same: ChatRequest) -> None:
    cache = ResponseCache(store)
    await cache.keep(REQUEST, REPLY, model="m:m")
    assert await cache.find(same, model="m:m") is not None


@pytest.mark.parametrize(
    "other",
    [
        changed(accounting=Accounting(user="bob", team="blue")),
        changed(accounting=Accounting(user="ann", team="red")),
        changed(messages=REQUEST.messages[1:]),
        changed(messages=(REQUEST.messages[0], Message.of(Role.ASSISTANT, "How do I sort a list?"))),
        changed(max_tokens=10),
        changed(top_p=0.5),
        changed(seed=1),
        changed(stop=("x",)),
        changed(output_schema={"type": "object"}),
        changed(tools=(TOOL,)),
        changed(tools=(TOOL,), tool_choice="required"),
        changed(
            messages=(
                REQUEST.messages[0],
                Message(
                    role=Role.USER,
                    parts=(Text("How do I sort a list?"), Image(data=b"1", media_type="image/png")),
                ),
            )
        ),
    ],
)
async def test_what_changes_the_reply_or_who_asks_changes_the_key(store: DiskReplies, other: ChatRequest) -> None:
    cache = ResponseCache(store)
    await cache.keep(REQUEST, REPLY, model="m:m")
    assert await cache.find(other, model="m:m") is None
    assert await cache.find(REQUEST, model="m:other") is None


async def test_tools_may_come_in_any_order(store: DiskReplies) -> None:
    cache, other = ResponseCache(store), replace(TOOL, name="other")
    await cache.keep(changed(tools=(TOOL, other)), REPLY, model="m:m")
    assert await cache.find(changed(tools=(other, TOOL)), model="m:m") is not None


async def test_replies_never_cross_access_lists(store: DiskReplies) -> None:
    cache = ResponseCache(store, similar=Similar(embed=Words(), threshold=0.5))
    await cache.keep(changed(principals=("alice", "staff")), REPLY, model="m:m")
    assert await cache.find(changed(principals=("staff", "alice", "alice")), model="m:m") is not None
    for principals in (("alice",), ("staff",), ("alice", "staff", "bob"), ()):
        assert await cache.find(changed(principals=principals), model="m:m") is None


@pytest.mark.parametrize("purpose", ["probe", "bench"])
async def test_what_measures_a_model_is_always_asked(store: DiskReplies, purpose: str) -> None:
    request = changed(accounting=Accounting(purpose=purpose))
    cache = ResponseCache(store)
    await cache.keep(request, REPLY, model="m:m")
    assert await store.count() == 0
    await cache.keep(changed(accounting=Accounting()), REPLY, model="m:m")
    assert await cache.find(request, model="m:m") is None


@pytest.mark.parametrize(
    "reply",
    [
        replace(REPLY, finish_reason=FinishReason.LENGTH),
        replace(REPLY, finish_reason=FinishReason.REFUSED),
        replace(REPLY, finish_reason=FinishReason.UNKNOWN),
        replace(REPLY, parts=(Text("  "),)),
        replace(REPLY, parts=(ToolCall(id="1", name="look", arguments="{}"),), finish_reason=FinishReason.TOOL_CALLS),
        replace(REPLY, cached=True),
    ],
)
async def test_replies_that_are_no_good_another_time_are_not_kept(store: DiskReplies, reply: ChatResponse) -> None:
    cache = ResponseCache(store)
    await cache.keep(REQUEST, reply, model="m:m")
    assert await store.count() == 0


async def test_tool_calls_are_kept_where_that_is_wanted(store: DiskReplies) -> None:
    call = ToolCall(id="1", name="look", arguments='{"a": 1}')
    reply = replace(REPLY, parts=(call,), finish_reason=FinishReason.TOOL_CALLS)
    cache = ResponseCache(store, rules=Rules(tool_calls=True))
    await cache.keep(REQUEST, reply, model="m:m")
    kept = await cache.find(REQUEST, model="m:m")
    assert kept is not None
    assert kept.tool_calls == (call,)


async def test_a_temperature_is_not_cached_unless_that_is_wanted(store: DiskReplies) -> None:
    warm = changed(temperature=0.7)
    cache = ResponseCache(store)
    await cache.keep(warm, REPLY, model="m:m")
    assert await store.count() == 0
    assert cache.counts.refused == 0
    assert await cache.find(warm, model="m:m") is None
    assert cache.counts.refused == 1
    willing = ResponseCache(store, rules=Rules(any_temperature=True))
    await willing.keep(warm, REPLY, model="m:m")
    assert await willing.find(warm, model="m:m") is not None
    assert await willing.find(REQUEST, model="m:m") is None


async def test_an_error_is_not_cached(store: DiskReplies) -> None:
    inner = Counting(error=ModelError("openai:gpt-5 is down"))
    model = cached(inner, ResponseCache(store))
    for _ in range(2):
        with pytest.raises(ModelError):
            await model.respond(REQUEST)
    assert inner.asked == 2


async def test_a_stream_is_kept_at_its_end_and_replayed(store: DiskReplies) -> None:
    inner = Counting(replace(REPLY, parts=(Text("word " * 40),)))
    model = cached(inner, ResponseCache(store))
    first = [event async for event in model.stream(REQUEST)]
    second = [event async for event in model.stream(REQUEST)]
    assert inner.asked == 1
    pieces = [event.text for event in second if isinstance(event, TextDelta)]
    assert "".join(pieces) == "word " * 40
    assert isinstance(first[-1], Done)
    assert isinstance(second[-1], Done)
    assert not first[-1].response.cached
    assert second[-1].response.cached
    assert (await model.respond(REQUEST)).cached


async def test_a_stream_that_is_left_is_not_kept(store: DiskReplies) -> None:
    model = cached(Counting(), ResponseCache(store))
    async with aclosing(model.stream(REQUEST)) as events:
        assert await anext(events) == TextDelta(REPLY.text)
    assert await store.count() == 0


async def test_a_store_that_is_gone_is_a_note_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = DiskReplies(tmp_path / "file" / "responses.db")
    inner, cache = Counting(), ResponseCache(store)
    model = cached(inner, cache)
    for _ in range(2):
        reply = await model.respond(REQUEST)
        assert reply.text == "Use sorted()."
        assert any("cannot be used" in note for note in reply.notes)
    assert inner.asked == 2
    await store.close()


async def test_a_reply_that_was_damaged_is_asked_for_again(store: DiskReplies) -> None:
    key = request_key(REQUEST, model="openai:gpt-5")
    await store.put(key, b"\0\0\0\0not what was written")
    assert await ResponseCache(store).find(REQUEST, model="openai:gpt-5") is None


def asking(text: str) -> ChatRequest:
    return changed(messages=(REQUEST.messages[0], Message.of(Role.USER, text)))


async def test_a_similar_question_is_answered_and_it_is_said_how_often_that_is_wrong(store: DiskReplies) -> None:
    async def measured() -> float:
        return 0.004

    cache = ResponseCache(store, similar=Similar(embed=Words(), threshold=0.8, false_hits=measured))
    await cache.keep(REQUEST, REPLY, model="m:m")
    found = await cache.find(asking("how do I sort a list quickly?"), model="m:m")
    assert found is not None
    assert found.text == REPLY.text
    assert "How do I sort a list?" in found.notes[1]
    assert "0.40%" in found.notes[1]
    assert cache.counts.similar_hits == 1


@pytest.mark.parametrize(
    "other",
    [
        "How do I not sort a list?",
        "How do I sort 3 list?",
        "How do I sort a Tuple list?",
        "How do I sort a `list`?",
        "Why do I sort a list?",
    ],
)
async def test_a_question_that_differs_in_what_matters_is_not(store: DiskReplies, other: str) -> None:
    cache = ResponseCache(store, similar=Similar(embed=Words(), threshold=0.5))
    await cache.keep(REQUEST, REPLY, model="m:m")
    assert await cache.find(asking(other), model="m:m") is None


async def test_similar_questions_must_share_everything_else(store: DiskReplies) -> None:
    cache = ResponseCache(store, similar=Similar(embed=Words(), threshold=0.5))
    await cache.keep(REQUEST, REPLY, model="m:m")
    similar = asking("how do I sort a list quickly?")
    others = (
        replace(similar, messages=similar.messages[1:]),
        replace(similar, tools=(TOOL,)),
        replace(similar, max_tokens=5),
        replace(similar, accounting=Accounting(user="bob")),
    )
    for other in others:
        assert await cache.find(other, model="m:m") is None
    assert await cache.find(similar, model="m:other") is None


async def test_without_vectors_only_the_same_request_is_found_and_it_is_told(store: DiskReplies) -> None:
    words = Words()
    cache = ResponseCache(store, similar=Similar(embed=words, threshold=0.5))
    await cache.keep(REQUEST, REPLY, model="m:m")
    words.error = ModelError("the embedder is gone")
    assert await cache.find(asking("how do I sort a list quickly?"), model="m:m") is None
    assert "the embedder is gone" in cache.trouble
    assert await cache.find(REQUEST, model="m:m") is not None


async def test_many_may_ask_at_once(store: DiskReplies) -> None:
    model = cached(Counting(), ResponseCache(store))
    replies = await asyncio.gather(*(model.respond(REQUEST) for _ in range(20)))
    assert {reply.text for reply in replies} == {"Use sorted()."}
    assert await store.count() == 1


def test_the_store_is_opened_by_its_url(tmp_path: Path) -> None:
    assert open_replies("none:", root=tmp_path, hours=1, megabytes=1) is None
    assert isinstance(open_replies("disk:cache", root=tmp_path, hours=1, megabytes=1), DiskReplies)
    with pytest.raises(ConfigError, match="names no folder"):
        open_replies("disk:", root=tmp_path, hours=1, megabytes=1)
    with pytest.raises(BackendError, match="unheard"):
        open_replies("unheard:x", root=tmp_path, hours=1, megabytes=1)


async def test_scripted_replies_may_change_and_are_not_kept(store: DiskReplies) -> None:
    cache = ResponseCache(store)
    await cache.keep(REQUEST, REPLY, model="mock:script=replies.json")
    assert await store.count() == 0
    assert await cache.find(REQUEST, model="mock:script=replies.json") is None


async def test_what_may_not_leave_is_not_embedded_and_is_found_word_for_word(store: DiskReplies) -> None:
    words = Words()
    cache = ResponseCache(store, similar=Similar(embed=words, threshold=0.5))
    await cache.keep(REQUEST, REPLY, model="m:m")
    words.asked.clear()
    here = replace(REQUEST, local_only=True)
    await cache.keep(replace(here, seed=1), REPLY, model="m:m")
    assert await cache.find(replace(here, seed=1), model="m:m") is not None
    assert await cache.find(replace(asking("how do I sort a list quickly?"), local_only=True), model="m:m") is None
    assert words.asked == []

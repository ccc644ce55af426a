"""The router lent to a gateway, over models that reply as they are told."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from intelforge.core.chat import (
    Accounting,
    Attempt,
    ChatRequest,
    ChatResponse,
    Image,
    Message,
    Part,
    Role,
    Text,
    Timings,
    Tokens,
    Tool,
    ToolCall,
    ToolResult,
)
from intelforge.core.errors import BudgetError, ConfigError, InvalidInputError
from intelforge.core.model_reports import Profile, Skill, Trial
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.overrides import Override
from intelforge.models.failures import Failure, failure
from intelforge.models.router.lent import REFRESHED_SECONDS, LentRouter
from intelforge.models.router.memory import MemoryRouterLog
from intelforge.models.router.policy import Exploration
from intelforge.models.router.router import Options
from intelforge.models.router.values import Judgement, Preference
from intelforge.models.targets import read_target, routed_urls

CHEAP, DEAR, HERE = "openai:cheap", "openai:dear", "ollama:here"


def facts(**told: object) -> Override:
    return Override.model_validate(told)


FACTS = {
    CHEAP: facts(input_usd_per_million=0.1, output_usd_per_million=0.2, context_window=1000, tools=False),
    DEAR: facts(input_usd_per_million=5, output_usd_per_million=20, context_window=100_000, tools=True, images=True),
    HERE: facts(context_window=4000, tools=False),
}


def lent(log: MemoryRouterLog | None = None, *, preference: str = "balanced", urls: tuple[str, ...] = ()) -> LentRouter:
    options = Options(preference=Preference.parse(preference), exploration=Exploration(share=0.0, cost_share=0.0))
    return LentRouter(
        named=urls or (CHEAP, DEAR, HERE),
        catalogue=Catalogue(overrides=FACTS, environment={}),
        log=log or MemoryRouterLog(),
        options=options,
        read=lambda url: read_target(url, environment={"OPENAI_API_KEY": "k"}),
    )


@dataclass
class MeasuredElsewhere:
    """Profiles that other processes keep."""

    kept: Sequence[Profile] = ()

    async def keep(self, profile: Profile) -> None:
        raise NotImplementedError

    async def all(self) -> list[Profile]:
        return list(self.kept)


def asked(text: str = "What is two and two?", **more: object) -> ChatRequest:
    return ChatRequest(messages=(Message.of(Role.USER, text),), **more)  # type: ignore[arg-type]


def replied(model: str, *failed: str) -> ChatResponse:
    errors = [Attempt(model=name, seconds=0.1, error="it failed", fault=True) for name in failed]
    return ChatResponse(
        parts=(Text("4"),),
        model=model,
        tokens=Tokens(input=9, output=1),
        cost_usd=0.001,
        timings=Timings(first_token=0.5, total=1.0),
        attempts=(*errors, Attempt(model=model, seconds=1)),
    )


def test_a_url_names_its_models_or_leaves_them_to_the_settings() -> None:
    assert routed_urls("router:", (CHEAP, DEAR)) == (CHEAP, DEAR)
    assert routed_urls("router:", (CHEAP, f"{DEAR}, {CHEAP}", f"router:{HERE}")) == (CHEAP, DEAR)
    assert routed_urls(f"router:{DEAR}, {HERE}", (CHEAP,)) == (DEAR, HERE)


@pytest.mark.parametrize("urls", [(), (CHEAP,)])
def test_there_must_be_something_to_choose_among(urls: tuple[str, ...]) -> None:
    router = lent(urls=urls or (CHEAP,))
    router.named = urls
    with pytest.raises(ConfigError, match="to choose among; list them in the setting llm_models"):
        router.candidates("router:")


async def test_a_request_goes_to_those_that_can_take_it_with_the_reason() -> None:
    router = lent()
    tool = Tool(name="t", description="", parameters={"type": "object"})
    picture = ChatRequest(messages=(Message(role=Role.USER, parts=(Image(data=b"x", media_type="image/png"),)),))
    assert set((await router.route(asked(), url="router:")).order) == {CHEAP, DEAR, HERE}
    assert (await router.route(asked(tools=(tool,)), url="router:")).order == (DEAR,)
    assert (await router.route(picture, url="router:")).order == (DEAR,)
    assert (await router.route(asked(local_only=True), url="router:")).order == (HERE,)
    assert set((await router.route(asked("word " * 2000), url="router:")).order) == {DEAR, HERE}
    with pytest.raises(InvalidInputError):
        await router.route(asked("word " * 2000, local_only=True, tools=(tool,)), url="router:")
    decision = (await router.route(asked(), url="router:")).decision
    assert decision["model"] == decision["ranking"][0]
    assert decision["reason"].count(".") >= 1


def _also(role: Role, part: Part) -> ChatRequest:
    return ChatRequest(messages=(*asked().messages, Message(role=role, parts=(part,))))


async def test_all_that_a_model_reads_is_counted() -> None:
    result = ToolResult(id="1", name="t", content="word " * 2000)
    call = ToolCall(id="1", name="t", arguments=json.dumps("word " * 2000))
    tool = Tool(name="t", description="word " * 2000, parameters={"type": "object"})
    for request in (
        _also(Role.TOOL, result),
        _also(Role.ASSISTANT, call),
        asked("\u8a9e" * 2000),
        asked(tools=(tool,)),
    ):
        assert CHEAP not in (await lent().route(request, url="router:")).order


async def test_what_is_too_long_for_all_goes_to_those_that_read_most() -> None:
    long = "word " * 200_000
    assert (await lent().route(asked(long), url="router:")).order == (DEAR,)
    assert (await lent().route(asked(long, local_only=True), url="router:")).order == (HERE,)
    route = await lent().route(asked(long), url="router:", among=(CHEAP, HERE))
    assert route.order == (HERE,)


async def test_what_is_wanted_decides_between_cheap_and_dear() -> None:
    assert (await lent(preference="cheap", urls=(CHEAP, DEAR)).route(asked(), url="router:")).order[0] == CHEAP
    assert (await lent(preference="quality", urls=(CHEAP, DEAR)).route(asked(), url="router:")).order[0] == DEAR


async def test_outcomes_are_on_record_and_failures_count_against_who_failed() -> None:
    log = MemoryRouterLog()
    router = lent(log)
    route = await router.route(asked(), url="router:")
    router.learn(asked(), route, replied(route.order[0]))
    await router.caught_up()
    (call,) = await log.all()
    assert (call.model, call.cost, call.latency, call.output_tokens) == (route.order[0], 0.001, 1.0, 1)
    route = await router.route(asked("Again?"), url="router:")
    router.learn(asked("Again?"), route, replied(route.order[1], route.order[0]))
    await router.caught_up()
    failed = [call for call in await log.all() if call.quality == 0.0]
    assert [(call.model, call.source) for call in failed] == [(route.order[0], Judgement.RETRY)]
    route = await router.route(asked("Once more?"), url="router:")
    attempts = replied(route.order[1], route.order[0]).attempts
    router.learn(asked("Once more?"), route, failure(Failure.SERVER, "all failed", hint="-"), attempts)
    await router.caught_up()
    assert len([call for call in await log.all() if call.quality == 0.0]) == 2
    route = await router.route(asked("And now?"), url="router:")
    router.learn(asked("And now?"), route, BudgetError("the budget is spent", hint="-"))
    await router.caught_up()
    assert len([call for call in await log.all() if call.quality == 0.0]) == 2


async def test_a_model_that_is_rated_badly_is_left_for_a_better_one() -> None:
    router = lent(preference="quality", urls=(CHEAP, DEAR))
    for number in range(60):
        request = asked(f"What is {number} and {number}?")
        route = await router.route(request, url="router:")
        router.learn(request, route, replied(route.order[0]))
        await router.caught_up()
        await router.judge(route.decision["call"], float(route.order[0] == CHEAP), Judgement.RATING)
    assert (await router.route(asked("What is 70 and 70?"), url="router:")).order[0] == CHEAP


async def test_what_was_learned_is_kept_and_what_another_process_froze_is_frozen() -> None:
    log, clock = MemoryRouterLog(), [0.0]
    router = lent(log)
    router.now = lambda: clock[0]
    route = await router.route(asked(), url="router:")
    router.learn(asked(), route, replied(route.order[0]))
    await router.close()
    other = await lent(log).service((CHEAP, DEAR, HERE))
    assert other.router.trackers[route.order[0]].calls == 1
    await other.freeze()
    here = await router.service()
    await router.caught_up()
    assert not here.router.frozen
    clock[0] = 60.0
    await router.route(asked(), url="router:")
    await router.caught_up()
    assert here.router.frozen


async def test_each_url_has_its_own_models() -> None:
    router = lent(preference="quality")
    for _ in range(2):
        assert set((await router.route(asked(), url=f"router:{CHEAP}, {DEAR}")).order) == {CHEAP, DEAR}
        assert set((await router.route(asked(), url=f"router:{CHEAP}, {HERE}")).order) == {CHEAP, HERE}
    both = await asyncio.gather(
        *(router.route(asked(), url=f"router:{CHEAP}, {other}") for other in (DEAR, HERE) for _ in range(5))
    )
    assert [set(route.order) for route in both] == [{CHEAP, DEAR}] * 5 + [{CHEAP, HERE}] * 5
    assert {one["model"] for one in both[0].decision["predictions"]} == {CHEAP, DEAR}


async def test_a_call_of_another_process_can_be_rated_where_nothing_is_named() -> None:
    log = MemoryRouterLog()
    router = lent(log)
    route = await router.route(asked(), url=f"router:{CHEAP}, {DEAR}")
    router.learn(asked(), route, replied(route.order[0]))
    await router.close()
    other = lent(log)
    other.named = ()
    await other.judge(route.decision["call"], 0.25, Judgement.RATING)
    assert (await other.service()).router.trackers[route.order[0]].judged == 1
    (call,) = await log.all()
    assert (call.quality, call.source) == (0.25, Judgement.RATING)


async def test_only_a_model_that_follows_a_schema_is_given_one() -> None:
    schema = {"type": "object", "properties": {}}
    loose = {**FACTS, CHEAP: facts(input_usd_per_million=0.1, output_usd_per_million=0.2, json_schema=False)}
    router = lent(preference="cheap", urls=(CHEAP, DEAR))
    router.catalogue = Catalogue(overrides=loose, environment={})
    assert (await router.route(asked(), url="router:")).order[0] == CHEAP
    route = await router.route(asked(output_schema=schema), url="router:")
    assert route.order == (DEAR,)
    refusals = {one["model"]: one["refused"] for one in route.decision["predictions"]}
    assert refusals == {CHEAP: "cannot follow a schema", DEAR: ""}


async def test_what_another_process_measured_of_a_candidate_counts_after_a_while() -> None:
    schema = {"type": "object", "properties": {}}
    time, store = [0.0], MeasuredElsewhere()
    router = lent(preference="cheap", urls=(CHEAP, DEAR))
    router.catalogue = Catalogue(overrides=FACTS, profiles=store, environment={}, now=lambda: time[0])
    router.now = lambda: time[0]
    assert (await router.route(asked(output_schema=schema), url="router:")).order[0] == CHEAP
    trial = Trial(skill=Skill.SCHEMA, tries=3, passed=0)
    at = datetime(2026, 1, 31, tzinfo=UTC)
    store.kept = [Profile(model=CHEAP, at=at, trials=(trial,), first_token_seconds=9.0, tokens_per_second=1.0)]
    time[0] = REFRESHED_SECONDS - 1
    assert (await router.route(asked(output_schema=schema), url="router:")).order[0] == CHEAP
    time[0] = 2 * REFRESHED_SECONDS
    route = await router.route(asked(output_schema=schema), url="router:")
    assert route.order == (DEAR,)
    expected = {one["model"]: one["latency"] for one in route.decision["predictions"]}
    assert expected[CHEAP] > 9.0
    await router.close()


async def test_a_model_is_not_slow_because_another_failed_before_it() -> None:
    router = lent()
    route = await router.route(asked(), url="router:")
    reply = replied(route.order[1], route.order[0])
    router.learn(asked(), route, replace(reply, timings=Timings(first_token=60.0, total=61.0)))
    await router.caught_up()
    (call,) = await router.log.all()
    assert call.replied == route.order[1]
    tracker = (await router.service()).router.trackers[route.order[1]]
    assert tracker.log_latency == pytest.approx(0.0)  # the attempt itself took a second


@pytest.mark.parametrize(
    ("again", "counts"),
    [
        ({"accounting": Accounting(user="ann")}, True),
        ({"accounting": Accounting(user="bob")}, False),
        ({"accounting": Accounting(user="ann"), "text": "And three and three?"}, False),
        ({"accounting": Accounting(user="ann"), "seconds": 600}, False),
    ],
)
async def test_a_question_asked_again_soon_counts_against_the_reply_before(again: dict[str, Any], counts: bool) -> None:
    router, clock = lent(urls=(CHEAP, DEAR)), [datetime(2026, 5, 4, tzinfo=UTC)]
    service = await router.service(router.candidates("router:"))
    service._clock = lambda: clock[0]
    first = asked(accounting=Accounting(user="ann"))
    route = await router.route(first, url="router:")
    router.learn(first, route, replied(route.order[0]))
    clock[0] += timedelta(seconds=again.pop("seconds", 30))
    second = asked(again.pop("text", "What is two and two?"), **again)
    router.learn(second, await router.route(second, url="router:"), replied(route.order[0]))
    await router.caught_up()
    calls = await router.log.all()
    assert [call.source is Judgement.RETRY for call in calls] == [counts, False]
    assert (service.router.trackers[route.order[0]].reliability < 1) is counts


USER, MODEL = Role.USER, Role.ASSISTANT
WHAT, OTHER = Message.of(USER, "What is it about?"), Message.of(USER, "And who wrote it?")
TEXTS = [Message.of(Role.SYSTEM, f"The document: {name}") for name in ("a report", "a poem")]
PICTURES = [Message(role=USER, parts=(Image(data=data, media_type="image/png"),)) for data in (b"1", b"2")]
SAID = Message.of(MODEL, "It is about that.")


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ((TEXTS[0], WHAT), (TEXTS[0], WHAT), True),
        ((TEXTS[0], WHAT), (TEXTS[1], WHAT), False),
        ((PICTURES[0], WHAT), (PICTURES[0], WHAT), True),
        ((PICTURES[0], WHAT), (PICTURES[1], WHAT), False),
        ((TEXTS[0], WHAT), (TEXTS[0], WHAT, SAID, WHAT), True),
        ((TEXTS[0], OTHER, SAID, WHAT), (TEXTS[0], OTHER, SAID, WHAT, SAID, WHAT), True),
        ((TEXTS[0], OTHER, SAID, WHAT), (TEXTS[0], OTHER, SAID, WHAT, SAID, OTHER), False),
    ],
)
async def test_a_question_is_the_same_where_it_is_about_the_same(
    before: tuple[Message, ...], after: tuple[Message, ...], same: bool
) -> None:
    router = lent(urls=(DEAR, "openai:dearer"))
    router.catalogue = Catalogue(overrides={**FACTS, "openai:dearer": FACTS[DEAR]}, environment={})
    service = await router.service(router.candidates("router:"))
    times = iter(datetime(2026, 5, 4, 12, minute, tzinfo=UTC) for minute in range(2))
    service._clock = lambda: next(times)
    for messages in (before, after):
        request = ChatRequest(messages=messages, accounting=Accounting(user="ann"))
        route = await router.route(request, url="router:")
        router.learn(request, route, replied(route.order[0]))
    await router.caught_up()
    assert [call.source is Judgement.RETRY for call in await router.log.all()] == [same, False]


async def test_tools_that_go_on_and_users_nobody_knows_ask_nothing_again() -> None:
    router = lent(urls=(CHEAP, DEAR))
    known = Accounting(user="ann")
    went_on = Message(role=Role.TOOL, parts=(ToolResult(id="1", name="t", content="4"),))
    requests = [asked(), asked(), asked(accounting=known)]
    requests.append(replace(requests[-1], messages=(*requests[-1].messages, went_on)))
    for request in requests:
        route = await router.route(request, url="router:")
        router.learn(request, route, replied(route.order[0]))
    await router.caught_up()
    assert [call.quality for call in await router.log.all()] == [None] * 4


async def test_requests_are_read_by_their_vectors_where_there_is_an_embedder() -> None:
    seen: list[str] = []

    async def embed(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        seen.append(text)
        return np.full(8, 8**-0.5, np.float32)

    router = lent()
    router.embed = embed
    await router.route(
        ChatRequest(messages=(Message.of(Role.SYSTEM, "Be short."), Message.of(Role.USER, "Why?"))), url="router:"
    )
    assert seen == ["Why?"]


async def test_streams_that_nobody_finishes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intelforge.models.router.lent.MOST_OPEN", 3)
    router = lent()
    routes = [await router.route(asked(f"Number {number}?"), url="router:") for number in range(5)]
    assert list(router._tickets) == [route.decision["call"] for route in routes[2:]]
    router.learn(asked("Number 0?"), routes[0], replied(routes[0].order[0]))
    await router.caught_up()
    assert await router.log.all() == []

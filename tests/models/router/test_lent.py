"""The router lent to a gateway, over models that reply as they are told."""

import numpy as np
import pytest

from intelforge.core.chat import Attempt, ChatRequest, ChatResponse, Image, Message, Role, Text, Timings, Tokens, Tool
from intelforge.core.errors import BudgetError, ConfigError, InvalidInputError
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.overrides import Override
from intelforge.models.failures import Failure, failure
from intelforge.models.router.lent import LentRouter, routed_urls
from intelforge.models.router.memory import MemoryRouterLog
from intelforge.models.router.policy import Exploration
from intelforge.models.router.router import Options
from intelforge.models.router.service import NAME
from intelforge.models.router.state import candidates_in
from intelforge.models.router.values import Judgement, Preference
from intelforge.models.targets import read_target

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


async def test_what_is_wanted_decides_between_cheap_and_dear() -> None:
    assert (await lent(preference="cheap", urls=(CHEAP, DEAR)).route(asked(), url="router:")).order[0] == CHEAP
    assert (await lent(preference="quality", urls=(CHEAP, DEAR)).route(asked(), url="router:")).order[0] == DEAR


async def test_outcomes_are_on_record_and_failures_count_against_who_failed() -> None:
    log = MemoryRouterLog()
    router = lent(log)
    route = await router.route(asked(), url="router:")
    await router.learn(asked(), route, replied(route.order[0]))
    (call,) = await log.all()
    assert (call.model, call.cost, call.latency, call.output_tokens) == (route.order[0], 0.001, 1.0, 1)
    route = await router.route(asked("Again?"), url="router:")
    await router.learn(asked("Again?"), route, replied(route.order[1], route.order[0]))
    failed = [call for call in await log.all() if call.quality == 0.0]
    assert [(call.model, call.source) for call in failed] == [(route.order[0], Judgement.RETRY)]
    route = await router.route(asked("Once more?"), url="router:")
    await router.learn(asked("Once more?"), route, failure(Failure.SERVER, "all failed", hint="-"))
    assert len([call for call in await log.all() if call.quality == 0.0]) == 2
    route = await router.route(asked("And now?"), url="router:")
    await router.learn(asked("And now?"), route, BudgetError("the budget is spent", hint="-"))
    assert len([call for call in await log.all() if call.quality == 0.0]) == 2


async def test_a_model_that_is_rated_badly_is_left_for_a_better_one() -> None:
    router = lent(preference="quality", urls=(CHEAP, DEAR))
    for number in range(60):
        request = asked(f"What is {number} and {number}?")
        route = await router.route(request, url="router:")
        await router.learn(request, route, replied(route.order[0]))
        await router.judge(route.decision["call"], float(route.order[0] == CHEAP), Judgement.RATING)
    assert (await router.route(asked("What is 70 and 70?"), url="router:")).order[0] == CHEAP


async def test_what_was_learned_is_kept_and_what_another_process_froze_is_frozen() -> None:
    log, clock = MemoryRouterLog(), [0.0]
    router = lent(log)
    router.now = lambda: clock[0]
    route = await router.route(asked(), url="router:")
    await router.learn(asked(), route, replied(route.order[0]))
    await router.close()
    state = await log.load(NAME)
    assert state
    assert {candidate.name for candidate in candidates_in(state)} == {CHEAP, DEAR, HERE}
    other = lent(log)
    await other.route(asked(), url="router:")
    assert other._service
    assert router._service
    other._service.router.freeze()
    await other._service.save()
    await router.route(asked(), url="router:")
    assert not router._service.router.frozen
    clock[0] = 60.0
    await router.route(asked(), url="router:")
    assert router._service.router.frozen


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
    await router.learn(asked("Number 0?"), routes[0], replied(routes[0].order[0]))
    assert await router.log.all() == []

"""What the router learns from calls that go through the gateway, with models that are scripted."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from intelforge.core.chat import ChatRequest, ChatResponse, Done, Image, Message, Role, StreamEvent, Text, Tool
from intelforge.core.errors import InvalidInputError, ModelError, StorageError
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.overrides import Override
from intelforge.models.gateway_model import GatewayModel, Lent
from intelforge.models.protocol import Abilities
from intelforge.models.resilience import RetryPolicy
from intelforge.models.router.lent import LentRouter
from intelforge.models.router.memory import MemoryRouterLog
from intelforge.models.router.policy import NONE
from intelforge.models.router.protocol import Settled
from intelforge.models.router.router import Options
from intelforge.models.router.values import Judgement, Preference
from intelforge.models.targets import read_target
from intelforge.testing.gateway import GatewayBench, ask
from intelforge.testing.mock_model import MockModel, Rule
from intelforge.testing.router_world import text

ONE, TWO = "mock:one", "mock:two"
URL = f"router:{ONE}, {TWO}"
NOTICED = 50
"""calls within which a change is noticed"""


@dataclass
class Timed:
    """A model that takes its time on the bench's clock."""

    clock: list[float]
    seconds: float
    fault: str = ""
    abilities: Abilities = field(default_factory=Abilities)

    async def send(self, request: ChatRequest, *, stream: bool, timeout: float) -> AsyncGenerator[StreamEvent, None]:
        self.clock[0] += self.seconds
        async with aclosing(
            MockModel([Rule(reply="{}", fault=self.fault)]).send(request, stream=stream, timeout=1)
        ) as events:
            async for event in events:
                yield event


def lent(log: MemoryRouterLog | None = None, *, preference: str = "quality", **facts: dict[str, Any]) -> LentRouter:
    overrides = {f"mock:{name}": Override.model_validate(given) for name, given in facts.items()}
    return LentRouter(
        named=(),
        catalogue=Catalogue(overrides=overrides, environment={}),
        log=log or MemoryRouterLog(),
        options=Options(preference=Preference.parse(preference), exploration=NONE),
    )


def routed(bench: GatewayBench, router: LentRouter, one: Timed, two: Timed) -> GatewayModel:
    bench.lent, bench.timer = Lent(router=router), lambda: one.clock[0]
    bench.retry = RetryPolicy(retries=0)
    return bench.chain((ONE, one), (TWO, two), local=True, routed=URL)


async def reply_to(model: GatewayModel, router: LentRouter, words: str) -> ChatResponse:
    reply = await model.respond(ask(words))
    await router.caught_up()
    return reply


async def test_a_model_that_gets_slower_is_noticed_and_routed_around(bench: GatewayBench) -> None:
    clock, draw, router = [0.0], random.Random(1), lent(preference="fast")
    one = Timed(clock, 1.0)
    model = routed(bench, router, one, Timed(clock, 2.0))
    before = [(await reply_to(model, router, text("talk", draw))).model for _ in range(60)]
    assert before[-20:] == [ONE] * 20
    one.seconds = 6.0
    after = [(await reply_to(model, router, text("talk", draw))).model for _ in range(NOTICED + 10)]
    assert after[0] == ONE
    assert after[NOTICED:] == [TWO] * 10
    assert (await router.service()).router.trackers[ONE].latency > 2.5


async def test_a_model_that_gets_worse_is_noticed_and_routed_around(bench: GatewayBench) -> None:
    clock, draw, router = [0.0], random.Random(2), lent()
    model, good = routed(bench, router, Timed(clock, 1.0), Timed(clock, 1.0)), {ONE: 0.95, TWO: 0.7}

    async def rated() -> str:
        reply = await reply_to(model, router, text("talk", draw))
        assert reply.decision
        await router.judge(reply.decision["call"], float(draw.random() < good[reply.model]), Judgement.RATING)
        return reply.model

    before = [await rated() for _ in range(60)]
    assert before[-20:] == [ONE] * 20
    good[ONE] = 0.1
    after = [await rated() for _ in range(NOTICED + 10)]
    assert after[0] == ONE
    assert after[NOTICED:] == [TWO] * 10


async def test_a_model_that_begins_to_fail_is_routed_around(bench: GatewayBench) -> None:
    clock, draw, router = [0.0], random.Random(3), lent()
    one = Timed(clock, 1.0)
    model = routed(bench, router, one, Timed(clock, 1.0))
    for _ in range(30):
        assert (await reply_to(model, router, text("talk", draw))).model == ONE
    one.fault = "server"
    replies = [await reply_to(model, router, text("talk", draw)) for _ in range(NOTICED)]
    assert {reply.model for reply in replies} == {TWO}
    chosen = [reply.decision["model"] for reply in replies if reply.decision]
    assert chosen[0] == ONE
    assert chosen[-10:] == [TWO] * 10


async def test_a_model_that_leaves_no_time_for_the_others_is_routed_around(bench: GatewayBench) -> None:
    clock, router = [0.0], lent()
    model = routed(bench, router, Timed(clock, bench.limits.total + 1, fault="timeout"), Timed(clock, 1.0))
    with pytest.raises(ModelError, match="no time was left to ask mock:two"):
        await model.respond(ask("What is one?"))
    await router.caught_up()
    reply = await reply_to(model, router, "What is two?")
    assert (reply.model, [attempt.model for attempt in reply.attempts]) == (TWO, [TWO])


async def test_a_model_that_others_must_stand_in_for_is_slow(bench: GatewayBench) -> None:
    clock, router = [0.0], lent(preference="fast")
    bench.hedge_seconds = 0.001
    slow = Timed(clock, 8.0, fault="stall")
    model = routed(bench, router, slow, Timed(clock, 1.0))
    for number in range(12):
        assert (await reply_to(model, router, f"What is {number}?")).model == TWO
    assert (await router.service()).router.trackers[ONE].latency > 3.0
    reply = await reply_to(model, router, "What is next?")
    assert reply.decision
    assert reply.decision["model"] == TWO


async def test_how_long_replies_take_is_learned_from_calls(bench: GatewayBench) -> None:
    clock, router = [0.0], lent()
    model = routed(bench, router, Timed(clock, 7.0), Timed(clock, 1.0))
    for number in range(5):
        await reply_to(model, router, f"What is {number}?")
    tracker = (await router.service()).router.trackers[ONE]
    assert tracker.calls == 5
    assert 4.0 < tracker.latency <= 7.0
    assert tracker.tokens(400) < 400  # it says one word


class HeldLog(MemoryRouterLog):
    """Writes when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.fails = 0

    async def settle(self, settled: list[Settled] | tuple[Settled, ...]) -> None:  # type: ignore[override]
        await self.may.wait()
        if self.fails:
            self.fails -= 1
            raise StorageError("the disk is full", hint="-")
        await super().settle(settled)


async def test_nobody_waits_for_what_is_learned_and_nothing_is_lost_at_the_end(bench: GatewayBench) -> None:
    clock, log = [0.0], HeldLog()
    router = lent(log)
    model = routed(bench, router, Timed(clock, 1.0), Timed(clock, 1.0))
    async with aclosing(model.stream(ask())) as events:
        last = [event async for event in events][-1]
    assert isinstance(last, Done)
    await model.respond(ask())
    assert await log.all() == []
    log.may.set()
    await router.close()
    assert len(await log.all()) == 2


async def test_what_could_not_be_written_is_told_and_written_later(bench: GatewayBench) -> None:
    clock, log = [0.0], HeldLog()
    log.may.set()
    log.fails = 1
    router = lent(log)
    model = routed(bench, router, Timed(clock, 1.0), Timed(clock, 1.0))
    await reply_to(model, router, "What is one?")
    reply = await reply_to(model, router, "What is two?")
    assert reply.notes == ("the router does not learn: the disk is full",)
    assert len(await log.all()) == 2
    assert (await reply_to(model, router, "What is three?")).notes == ()


TOOL = Tool(name="t", description="", parameters={"type": "object"})
PICTURE = Message(role=Role.USER, parts=(Text("What is it?"), Image(data=b"x", media_type="image/png")))


@pytest.mark.parametrize(
    ("request_", "lacking", "why"),
    [
        (ask(tools=(TOOL,)), {"tools": False}, "cannot call tools"),
        (ask(output_schema={"type": "object"}), {"json_schema": False}, "cannot follow a schema"),
        (ChatRequest(messages=(PICTURE,)), {}, "cannot see images"),
        (ask("word " * 900), {"context_window": 500}, "reads 500 tokens"),
    ],
)
async def test_who_cannot_take_a_request_is_not_asked(
    bench: GatewayBench, request_: ChatRequest, lacking: dict[str, Any], why: str
) -> None:
    clock, router = [0.0], lent(one=lacking or {"images": False}, two={"images": True})
    two = Timed(clock, 1.0)
    model = routed(bench, router, Timed(clock, 1.0), two)
    assert (await reply_to(model, router, "Anything?")).model == ONE
    reply = await model.respond(request_)
    assert reply.model == TWO
    assert reply.decision
    assert why in next(one["refused"] for one in reply.decision["predictions"] if one["model"] == ONE)

    await router.close()


async def test_what_may_not_leave_stays(bench: GatewayBench) -> None:
    router = lent()
    url = f"router:openai:far, {TWO}"
    router.read = lambda one: read_target(one, environment={"OPENAI_API_KEY": "k"})
    bench.lent = Lent(router=router)
    far = bench.chain(("openai:far", [Rule(reply="far")]), (TWO, [Rule(reply="near")]), local=True, routed=url)
    reply = await far.respond(ask(local_only=True))
    assert (reply.model, reply.text) == (TWO, "near")
    assert (await far.respond(ask())).model == "openai:far"
    only = bench.chain(
        ("openai:far", [Rule(reply="far")]), ("openai:off", [Rule()]), routed="router:openai:far, openai:off"
    )
    with pytest.raises(InvalidInputError, match="openai:far: not on this machine"):
        await only.respond(ask(local_only=True))
    await router.close()

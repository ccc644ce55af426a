"""Faulty exchanges with a model server on loopback: how many hang, are charged twice or are never settled."""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from intelforge.core.chat import Accounting, ChatRequest, ChatResponse, Done, Message, Role
from intelforge.core.errors import IntelForgeError
from intelforge.models.endpoint import Endpoint, Limits
from intelforge.models.gateway import open_client
from intelforge.models.gateway_model import Behaviour, Candidate, GatewayModel
from intelforge.models.ledger import CallState, Ledger, LedgerStore, ModelCall
from intelforge.models.resilience import CircuitBreaker, RetryPolicy
from intelforge.models.structured import Adapted
from intelforge.models.targets import read_target
from intelforge.testing.gateway import FlatPrices
from intelforge.testing.model_server import (
    ModelServer,
    ServerReply,
    ServerRequest,
    chat_reply,
    error_reply,
    stream_chunk,
    stream_reply,
)

AT_ONCE = 32
PATIENCE = Limits(total=6.0, first_token=0.4, token=0.4, connect=5.0, max_tokens=64)
GRACE = 5.0
"""seconds beyond its time limit after which an exchange counts as hanging"""
_MAY_NOT_HAVE_BEEN_SENT = ("interrupted", "timed_out")
"""errors of attempts that are charged once although the server may not have seen them"""
FAULTS = (
    "none",
    "busy",
    "server error",
    "reset at once",
    "reset in the reply",
    "malformed",
    "cut short",
    "stall",
    "stall in the reply",
    "no usage",
    "negative usage",
    "impossible usage",
    "empty",
    "caller leaves",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """What became of so many exchanges."""

    exchanges: int
    attempts: int
    answered: int
    failed: int
    hangs: int
    double_charges: int
    """attempts entered or charged more than once, and entries without a request"""
    lost_settlements: int
    """attempts whose entry was never settled, and requests without an entry"""
    seconds: float
    by_fault: dict[str, int]


@dataclass(slots=True)
class AuditedStore:
    """A LedgerStore that counts what is done to each entry."""

    inner: LedgerStore
    rows: dict[str, ModelCall] = field(default_factory=dict)
    reserved: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)

    async def reserve(self, call: ModelCall) -> Sequence[str]:
        notes = await self.inner.reserve(call)
        self.rows[call.id] = call
        self.reserved[call.id] += 1
        return notes

    async def settle(self, call: ModelCall) -> Sequence[str]:
        notes = await self.inner.settle(call)
        self.rows[call.id] = call
        self.settled[call.id] += 1
        return notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One exchange: what the server does to it, on its first attempt or on all, and how it is asked."""

    name: str
    fault: str
    always: bool
    stream: bool


def plans_of(number: int, seed: int = 7) -> list[Plan]:
    """The same exchanges for the same seed, every fault about as often."""
    chance = random.Random(seed)
    return [
        Plan(
            name=f"exchange-{index}",
            fault=FAULTS[index % len(FAULTS)],
            always=chance.random() < 0.5,
            stream=chance.random() < 0.5,
        )
        for index in range(number)
    ]


@dataclass(slots=True)
class FaultyServer:
    """Does to each exchange what its plan says."""

    plans: dict[str, Plan]
    seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, request: ServerRequest) -> ServerReply:
        plan = self.plans[request.json["messages"][-1]["content"]]
        self.seen[plan.name] += 1
        fault = plan.fault if plan.always or self.seen[plan.name] == 1 else "none"
        return _streamed(fault) if request.json.get("stream") else _whole(fault)


def _whole(fault: str) -> ServerReply:
    fine = chat_reply("So it is.")
    match fault:
        case "busy":
            return error_reply(429, "slow", headers={"retry-after": "0"})
        case "server error":
            return error_reply(500, "oops")
        case "reset at once" | "reset in the reply":
            return ServerReply(reset=True)
        case "malformed":
            return ServerReply(body=b'{"id": "chatcmpl-1", "choi')
        case "cut short":
            return ServerReply(headers={"content-type": "application/json"}, chunks=[fine.body[:40]], reset=True)
        case "stall" | "stall in the reply" | "caller leaves":
            return ServerReply(hang=True)
        case "no usage" | "negative usage" | "impossible usage":
            return _told(fine, fault)
        case "empty":
            return chat_reply("")
    return fine


def _told(fine: ServerReply, fault: str) -> ServerReply:
    body = fine.json
    body["usage"] = _usage(fault)
    return replace(fine, body=json.dumps(body).encode())


def _usage(fault: str) -> dict[str, int] | None:
    if fault == "no usage":
        return None
    read, written = (-5, 3) if fault == "negative usage" else (10**9, 10**9)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _streamed(fault: str) -> ServerReply:
    fine = ["So ", "it ", "is."]
    match fault:
        case "busy" | "server error" | "reset at once" | "stall":
            return _whole(fault)
        case "reset in the reply":
            return stream_reply(["So ", 0.02], reset=True)
        case "malformed":
            return ServerReply(headers=stream_reply([]).headers, chunks=[b'data: {"choices": [{"del\n\n'])
        case "cut short":
            return ServerReply(headers=stream_reply([]).headers, chunks=[stream_chunk({"content": "So "})])
        case "stall in the reply" | "caller leaves":
            return stream_reply(["So "], hang=True)
        case "no usage":
            return stream_reply(fine, tokens=None)
        case "negative usage":
            return stream_reply(fine, tokens=(-5, 3))
        case "impossible usage":
            return stream_reply(fine, tokens=(10**9, 10**9))
        case "empty":
            return stream_reply([])
    return stream_reply(fine)


async def run(number: int, store: LedgerStore) -> Faulty:
    """So many exchanges, some at once, and the audit of what the ledger has of them."""
    plans = plans_of(number)
    server, audited, began = FaultyServer({plan.name: plan for plan in plans}), AuditedStore(store), time.perf_counter()
    limits = httpx2.Limits(max_connections=2 * AT_ONCE)
    outcomes: list[ChatResponse | str] = []
    async with (
        ModelServer(server, keep_alive=True) as served,
        httpx2.AsyncClient(trust_env=False, limits=limits) as client,
    ):
        model, free = _model(served.url, client, audited), asyncio.Semaphore(AT_ONCE)

        async def one(plan: Plan) -> ChatResponse | str:
            async with free:
                return await _exchanged(model, plan)

        outcomes = await asyncio.gather(*(one(plan) for plan in plans))
    return _audited(plans, outcomes, server, audited, time.perf_counter() - began)


def with_rows(found: Faulty, rows: Sequence[Mapping[str, Any]]) -> Faulty:
    """With what the database has in the end: every attempt once, none under way.

    An entry of nothing that was interrupted is of a caller who left while it was made: there was no attempt.
    """
    rows = [row for row in rows if row["charged_usd"] or row["error"] != "interrupted"]
    under_way = sum(row["state"] == CallState.RESERVED.value for row in rows)
    missing, extra = max(0, found.attempts - len(rows)), max(0, len(rows) - found.attempts)
    return replace(
        found,
        lost_settlements=found.lost_settlements + under_way + missing,
        double_charges=found.double_charges + extra,
    )


def _model(url: str, client: httpx2.AsyncClient, store: AuditedStore) -> GatewayModel:
    """The chain of one model as the gateway makes it, but that it costs although it is on this machine.

    Its breaker never opens: every exchange is to meet its fault.
    """
    target = read_target(f"{url}/v1#faulty", environment={})
    endpoint = Endpoint(
        name=target.name,
        provider=target.provider,
        model=target.model,
        local=False,
        client=open_client(target, client, connect=PATIENCE.connect, secrets={}),
        ledger=Ledger(store),
        prices=FlatPrices(),
        limits=PATIENCE,
    )
    behaviour = Behaviour(timeout=PATIENCE.total, retry=RetryPolicy(first=0.01))
    breaker = CircuitBreaker(name=target.name, failures=10**9)
    return GatewayModel(
        name=target.name, candidates=(Candidate(target.url, Adapted(endpoint), breaker),), behaviour=behaviour
    )


async def _exchanged(model: GatewayModel, plan: Plan) -> ChatResponse | str:
    """The response, or in one word why there is none."""
    request = ChatRequest(
        messages=(Message.of(Role.USER, plan.name),),
        accounting=Accounting(purpose=plan.name),
        timeout=1.0 if plan.fault.startswith("stall") and not plan.stream else None,
    )
    leaving = plan.fault == "caller leaves"
    try:
        async with asyncio.timeout(0.2 if leaving else PATIENCE.total + GRACE):
            return await (_whole_stream(model, request) if plan.stream else model.respond(request))
    except IntelForgeError:
        return "failed"
    except TimeoutError:
        return "left" if leaving else "hung"


async def _whole_stream(model: GatewayModel, request: ChatRequest) -> ChatResponse:
    async with aclosing(model.stream(request)) as events:
        async for event in events:
            if isinstance(event, Done):
                return event.response
    raise RuntimeError("a stream ended without its end")


def _audited(
    plans: Sequence[Plan],
    outcomes: Sequence[ChatResponse | str],
    server: FaultyServer,
    store: AuditedStore,
    seconds: float,
) -> Faulty:
    rows: dict[str, list[ModelCall]] = defaultdict(list)
    for row in store.rows.values():
        rows[row.purpose].append(row)
    double = sum(count > 1 for count in store.settled.values()) + sum(count > 1 for count in store.reserved.values())
    lost = sum(row.state is CallState.RESERVED for row in store.rows.values())
    for plan, outcome in zip(plans, outcomes, strict=True):
        made, entered = server.seen[plan.name], len(rows[plan.name])
        charged = [row for row in rows[plan.name] if row.charged_usd and row.error not in _MAY_NOT_HAVE_BEEN_SENT]
        lost += max(0, made - entered)
        double += max(0, len(charged) - made)
        if isinstance(outcome, ChatResponse):
            total = sum(row.charged_usd for row in rows[plan.name])
            double += abs(total - (outcome.cost_usd or 0.0)) > 1e-12 or len(outcome.attempts) != entered
    return Faulty(
        exchanges=len(plans),
        attempts=len(store.rows),
        answered=sum(isinstance(outcome, ChatResponse) for outcome in outcomes),
        failed=sum(outcome in ("failed", "left") for outcome in outcomes),
        hangs=sum(outcome == "hung" for outcome in outcomes),
        double_charges=double,
        lost_settlements=lost,
        seconds=seconds,
        by_fault=dict(Counter(plan.fault for plan in plans)),
    )

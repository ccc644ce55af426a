"""A hard budget is never exceeded, however many calls come at once, from however many processes, whatever dies.

`INTELFORGE_TEST_ROUNDS=200` runs more rounds than a few.
"""

import asyncio
import math
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress

import pytest

from intelforge.core.accounting import on_behalf_of
from intelforge.core.chat import Accounting, Tokens
from intelforge.core.costs import EACH, Budget, Period, Scope
from intelforge.core.errors import BudgetError, ModelError
from intelforge.index.model_context import RemoteCall
from intelforge.models.endpoint import Endpoint, Limits
from intelforge.models.ledger import Ledger
from intelforge.models.meter import ModelMeter
from intelforge.models.protocol import Exchange
from intelforge.store.budgets import Budgets
from intelforge.store.calls import Calls
from intelforge.store.database import Database
from intelforge.store.leases import process_name
from intelforge.testing.gateway import FlatPrices, ask
from intelforge.testing.ledger import discrepancies
from intelforge.testing.mock_model import MockModel, Rule

ROUNDS = int(os.environ.get("INTELFORGE_TEST_ROUNDS", "5"))
CALLS = 100
CAP = 0.37
MOST = 0.01
"""reserved by a call: 37 of them are at the cap"""

PROCESS = """
import asyncio, random, sys
from pathlib import Path
from intelforge.core.chat import Accounting
from intelforge.core.errors import BudgetError
from intelforge.models.ledger import Ledger
from intelforge.store.calls import Calls
from intelforge.store.database import open_database
from intelforge.store.leases import process_name

async def main(url, seed):
    database = await open_database(url, root=Path("/"))
    calls, chance = Calls(database, owner=process_name()), random.Random(seed)
    ledger, admitted = Ledger(calls), 0
    print("ready", flush=True)
    sys.stdin.readline()

    async def one():
        nonlocal admitted
        for _ in range(15):
            user = chance.choice(["ann", "bob"])
            try:
                async with ledger.call("openai:m", accounting=Accounting(user=user), reserve_usd=0.01) as usage:
                    await asyncio.sleep(chance.random() / 100)
                    usage.input_tokens, usage.cost_usd = 1, chance.random() / 100
                    admitted += 1
                    if admitted == 5 and seed == "0":
                        print("going", flush=True)
                        await asyncio.Event().wait()
            except BudgetError:
                await asyncio.sleep(chance.random() / 100)

    await asyncio.gather(*(one() for _ in range(30)))
    await calls.close()
    await database.close()

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.fixture
async def calls(emptied: Database) -> AsyncIterator[Calls]:
    opened = Calls(emptied, owner=process_name())
    yield opened
    await opened.close()


@pytest.mark.parametrize("part", range(2))
async def test_as_many_calls_go_through_at_once_as_there_is_room_for(
    emptied: Database, calls: Calls, part: int
) -> None:
    ledger, budgets = Ledger(calls), Budgets(emptied)
    for number in range(part, ROUNDS, 2):
        user, done = f"u{number}", asyncio.Event()
        await budgets.set(Budget(scope=Scope(user=user), period=Period.TOTAL, limit_usd=CAP))
        entered: list[int] = []
        refused: list[int] = []

        async def one(
            number: int,
            user: str = user,
            done: asyncio.Event = done,
            entered: list[int] = entered,
            refused: list[int] = refused,
        ) -> None:
            try:
                async with ledger.call("openai:m", accounting=Accounting(user=user), reserve_usd=MOST) as usage:
                    entered.append(number)
                    await done.wait()
                    usage.input_tokens, usage.cost_usd = 1, MOST
            except BudgetError:
                refused.append(number)
            if len(refused) == CALLS - 37:
                done.set()

        async with asyncio.timeout(60):
            await asyncio.gather(*(one(number) for number in range(CALLS)))
        assert (len(entered), len(refused)) == (37, CALLS - 37)
    await calls.flush()
    assert await discrepancies(emptied) == []
    spent = {status.standings[0].spent_usd for status in await budgets.statuses()}
    assert spent <= {CAP}


async def test_whatever_becomes_of_calls_the_spend_stays_below_the_cap(emptied: Database, calls: Calls) -> None:
    """They cost less than was reserved, fail, are cancelled at any moment, or do not say what they cost."""
    ledger, budgets = Ledger(calls), Budgets(emptied)
    await budgets.set(Budget(scope=Scope(user=EACH), period=Period.TOTAL, limit_usd=CAP))
    await budgets.set(Budget(scope=Scope(model=EACH), period=Period.DAY, limit_usd=CAP * ROUNDS / 2))
    for number in range(ROUNDS):
        chance = random.Random(number)
        committed = 0.0

        async def one(user: str, chance: random.Random = chance) -> None:
            nonlocal committed
            most = chance.random() * MOST
            accounting = Accounting(user=user)
            model = chance.choice(["openai:m", "groq:n"])
            with suppress(BudgetError, ModelError):
                async with ledger.call(model, accounting=accounting, reserve_usd=most) as usage:
                    cost = most
                    committed += most
                    assert committed <= CAP + 1e-9
                    try:
                        await asyncio.sleep(chance.choice([0, 0, 0.001]))
                        if chance.random() < 0.1:
                            raise ModelError("no")
                        if chance.random() < 0.8:
                            cost = most * chance.random()
                            usage.input_tokens, usage.cost_usd = 1, cost
                    finally:
                        committed += cost - most

        tasks = [asyncio.create_task(one(f"u{number}")) for _ in range(CALLS)]
        for task in chance.sample(tasks, 10):
            await asyncio.sleep(0)
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {type(None), asyncio.CancelledError}
    await calls.close()
    assert await discrepancies(emptied) == []
    assert {row["state"] for row in await calls.all()} == {"settled", "failed"}


async def test_whatever_servers_tell_the_spend_stays_below_the_cap(emptied: Database, calls: Calls) -> None:
    """Chats and embeddings at once, whose counts are true, missing or absurd."""
    ledger, budgets = Ledger(calls), Budgets(emptied)
    await budgets.set(Budget(scope=Scope(user=EACH), period=Period.TOTAL, limit_usd=CAP))
    meter = ModelMeter(ledger, FlatPrices())
    for number in range(ROUNDS):
        chance = random.Random(number)

        def told(chance: random.Random = chance) -> int:
            return chance.choice([-1, 0, 5, 900, 4_000, 10**9])

        async def chat(user: str, told: Callable[[], int] = told) -> None:
            tokens = Tokens(input=told(), output=told(), thinking=max(0, told()))
            endpoint = Endpoint(
                name="a:m",
                provider="a",
                model="m",
                local=False,
                client=MockModel([Rule(reply="Fine.", tokens=tokens)]),
                ledger=ledger,
                prices=FlatPrices(),
                limits=Limits(max_tokens=4_000),
            )
            exchange = Exchange(request=ask(accounting=Accounting(user=user)), stream=False, deadline=math.inf)
            with suppress(BudgetError):
                async for _ in endpoint.run(exchange):
                    pass

        async def embed(user: str, told: Callable[[], int] = told) -> None:
            call = RemoteCall(purpose="embed", provider="a", model="e", tokens=3_000, local=False)
            with suppress(BudgetError), on_behalf_of(Accounting(user=user)):
                async with meter(call) as spent:
                    await asyncio.sleep(0)
                    spent.input_tokens = told()

        user = f"u{number}"
        some = chance.choices([chat, embed], weights=[1, 3], k=CALLS)
        await asyncio.gather(*(one(user) for one in some))
    await calls.flush()
    assert await discrepancies(emptied) == []
    (status,) = await budgets.statuses()
    assert len(status.standings) == ROUNDS
    for standing in status.standings:
        assert 0 < standing.spent_usd <= CAP
        assert standing.refused > 0
    rows = await calls.all()
    assert {row["kind"] for row in rows} == {"chat", "embedding"}
    assert all(0 < row["charged_usd"] <= row["reserved_usd"] for row in rows)


async def test_processes_share_a_budget_and_a_killed_one_s_calls_are_settled(
    emptied: Database, migrated_url: str, calls: Calls
) -> None:
    budgets = Budgets(emptied)
    await budgets.set(Budget(period=Period.TOTAL, limit_usd=1.0))
    await budgets.set(Budget(scope=Scope(user=EACH), period=Period.TOTAL, limit_usd=0.6))
    with ExitStack() as stack:
        processes = []
        for seed in range(3):
            command = [sys.executable, "-c", PROCESS, migrated_url, str(seed)]
            started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes.append(stack.enter_context(started))
            stack.callback(started.kill)
        killed, *others = processes
        for process in processes:
            assert await _line(process) == "ready\n"
        _go(killed)
        assert await _line(killed) == "going\n"
        for process in others:
            _go(process)
        await asyncio.sleep(0.2)
        killed.kill()
        while any(process.poll() is None for process in others):
            assert await _within_limits(budgets)
            await asyncio.sleep(0.05)
        killed.wait()
        assert [process.returncode for process in others] == [0, 0]
    await asyncio.gather(calls.settle_crashed(), Calls(emptied, owner="h:1:1:x").settle_crashed())
    assert await discrepancies(emptied) == []
    states = [row["state"] for row in await calls.all()]
    assert set(states) == {"settled", "crashed"}
    assert len(states) >= 100
    assert [status.standings[0].reserved_usd for status in await budgets.statuses()] == [0.0, 0.0]


def _go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


async def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return await asyncio.to_thread(process.stdout.readline)


async def _within_limits(budgets: Budgets) -> bool:
    return all(
        standing.spent_usd + standing.reserved_usd <= status.budget.limit_usd + 1e-9
        for status in await budgets.statuses()
        for standing in status.standings
    )

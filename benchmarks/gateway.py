"""The gateway to language models: what a call costs in time, and what faults do to it.

    python benchmarks/gateway.py [--calls 500] [--json]
    python benchmarks/gateway.py --faults 1000 [--json]

The first measures calls in one process, with a scripted model and with a model server on loopback, with the ledger in
SQLite as a workspace has it. Overhead is what a call takes beyond the same request sent with the bare HTTP client.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import gateway_faults
import httpx2

from intelforge.models.chat import ChatRequest, Message, Role
from intelforge.models.gateway import Gateway
from intelforge.models.ledger import Ledger, LedgerStore
from intelforge.store.calls import Calls
from intelforge.store.database import open_database
from intelforge.testing.model_server import ModelServer, chat_reply

WARM = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Of one call, in milliseconds at the median."""

    calls: int
    scripted: float
    """with a model that replies at once: all of it is ours"""
    served: float
    """with a server on loopback"""
    bare: float
    """the same request by the HTTP client alone"""
    overhead: float
    """`served` without `bare`"""


@asynccontextmanager
async def sqlite_ledger() -> AsyncIterator[LedgerStore]:
    """A ledger as a workspace has it, in a folder that goes when it is closed."""
    with tempfile.TemporaryDirectory() as folder:
        database = await open_database("sqlite:///ledger.db", root=Path(folder))
        try:
            yield Calls(database)
        finally:
            await database.close()


async def measure_overhead(calls: int, store: LedgerStore) -> Overhead:
    """So many calls of each kind, one after the other."""
    request = ChatRequest(messages=(Message.of(Role.SYSTEM, "Be short."), Message.of(Role.USER, "What?")))
    async with (
        ModelServer(lambda asked: chat_reply("So it is."), keep_alive=True) as server,
        httpx2.AsyncClient(trust_env=False) as client,
    ):
        gateway = Gateway(client=client, ledger=Ledger(store), environment={})
        scripted, served = await gateway.model("mock:So."), await gateway.model(f"{server.url}/v1#tiny")
        if scripted is None or served is None:
            raise RuntimeError("a model that was named is there")
        await served.respond(request)
        url, body = f"{server.url}{server.requests[0].path}", server.requests[0].body
        times = {
            "scripted": await _median(calls, lambda: scripted.respond(request)),
            "served": await _median(calls, lambda: served.respond(request)),
            "bare": await _median(calls, lambda: client.post(url, content=body)),
        }
    return Overhead(calls=calls, **times, overhead=times["served"] - times["bare"])


async def _median(calls: int, call: Callable[[], Awaitable[object]]) -> float:
    times: list[float] = []
    for _ in range(WARM + calls):
        began = time.perf_counter()
        await call()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[WARM:])


async def _run(options: argparse.Namespace) -> Overhead | gateway_faults.Faulty:
    async with sqlite_ledger() as store:
        if options.faults:
            return await gateway_faults.run(options.faults, store)
        return await measure_overhead(options.calls, store)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500, help="calls of each kind")
    parser.add_argument("--faults", type=int, default=0, help="run so many faulty exchanges instead")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    found = asdict(asyncio.run(_run(options)))
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}")


if __name__ == "__main__":
    main()

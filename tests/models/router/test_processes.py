"""Two real processes that share a router: nothing that one learns, freezes or imports is undone by the other."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from intelforge.models.router import service as service_module
from intelforge.models.router.database import DatabaseRouterLog
from intelforge.models.router.policy import NONE
from intelforge.models.router.protocol import Outcome
from intelforge.models.router.router import Options, Router
from intelforge.models.router.service import RouterService
from intelforge.models.router.state import exported
from intelforge.models.router.values import Judgement
from intelforge.store.database import Database, open_database
from intelforge.testing.router_world import BOTH, observation, text

OTHER = """
import asyncio, json, random, sys
from dataclasses import asdict
from pathlib import Path
from intelforge.models.router import service as service_module
from intelforge.models.router.database import DatabaseRouterLog
from intelforge.models.router.policy import NONE
from intelforge.models.router.protocol import Outcome
from intelforge.models.router.router import Options
from intelforge.models.router.values import Judgement
from intelforge.store.database import open_database
from intelforge.testing.router_world import BOTH, text

service_module.SAVED_EVERY = 5

async def main(url):
    database = await open_database(url, root=Path("/"))
    log, draw = DatabaseRouterLog(database), random.Random(7)
    service = await service_module.RouterService.open(BOTH, log, options=Options(exploration=NONE))
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        for _ in range(int(line)):
            ticket = await service.route(text("sum", draw))
            await service.settle(ticket, Outcome(quality=1.0, source=Judgement.EVALUATION, latency=1.0))
        trackers = service.router.trackers
        told = {"judged": sum(one.judged for one in trackers.values()), "frozen": service.router.frozen}
        print(json.dumps(told | {"spent": asdict(service.router.spending)}), flush=True)
    await service.close()
    await database.close()

asyncio.run(main(sys.argv[1]))
"""
STEADY = Options(exploration=NONE)


class Other:
    """The other process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def begin(self, calls: int) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()

    async def told(self) -> Any:
        """What it knows when it is done with its calls."""
        assert self._process.stdout
        return json.loads(await asyncio.to_thread(self._process.stdout.readline))

    async def works(self, calls: int) -> Any:
        self.begin(calls)
        return await self.told()


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(database_url, root=tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def other(database: Database, database_url: str) -> Iterator[Other]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield Other(process)
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture(autouse=True)
def _saves_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "SAVED_EVERY", 5)


async def opened(database: Database) -> RouterService:
    return await RouterService.open(BOTH, DatabaseRouterLog(database), options=STEADY)


async def work(service: RouterService, calls: int) -> None:
    draw = random.Random(8)
    for _ in range(calls):
        ticket = await service.route(text("talk", draw))
        await service.settle(ticket, Outcome(quality=1.0, source=Judgement.EVALUATION, latency=1.0))


def judged(service: RouterService) -> int:
    return sum(one.judged for one in service.router.trackers.values())


async def test_what_both_learn_at_once_is_merged(database: Database, other: Other) -> None:
    service = await opened(database)
    other.begin(20)
    await work(service, 20)
    await other.told()
    there = await other.works(1)
    await service.follow()
    assert judged(service) == there["judged"] == 41
    assert asdict(service.router.spending) == pytest.approx(there["spent"])
    assert service.router.spending.total > 0
    assert service.router.spending.quality > 0
    later = await opened(database)
    assert judged(later) == 41
    assert len(later.router.experience) == len(service.router.experience)
    await service.close()


async def test_a_freeze_is_not_undone_by_a_process_that_has_not_seen_it(database: Database, other: Other) -> None:
    await other.works(12)
    service = await opened(database)
    await service.freeze()
    there = await other.works(20)  # it saves every 5 events
    assert there == {**there, "judged": 12, "frozen": True}
    later = await opened(database)
    assert (later.router.frozen, judged(later)) == (True, 12)
    await service.unfreeze()
    assert (await other.works(3))["judged"] == 15


async def test_an_import_is_not_undone_by_a_process_that_has_not_seen_it(database: Database, other: Other) -> None:
    await other.works(12)
    taught, draw = Router(BOTH, STEADY), random.Random(9)
    for _ in range(30):
        taught.observe(observation("talk", "small", draw))
    service = await opened(database)
    await service.replace(await asyncio.to_thread(exported, taught))
    assert judged(service) == 30
    there = await other.works(20)
    assert there["judged"] == 50
    assert judged(await opened(database)) == 50


async def test_a_freeze_among_calls_under_way_holds_for_both(database: Database, other: Other) -> None:
    service = await opened(database)
    other.begin(20)
    await work(service, 10)
    await service.freeze()
    held = judged(service)
    await other.told()
    there = await other.works(1)
    assert there == {**there, "judged": held, "frozen": True}
    later = await opened(database)
    assert (later.router.frozen, judged(later)) == (True, held)

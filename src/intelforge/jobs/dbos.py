"""Jobs on DBOS: durable workflows whose state is kept beside the database of record, on SQLite and PostgreSQL alike.

DBOS allows one running instance in a process; a second workspace that wants to work in the same process waits for the
first to finish. Steps are coroutines of the workspace's event loop; DBOS's own threads only wait for them.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

from intelforge.core.errors import ErrorCode
from intelforge.jobs.protocol import Payload, Step
from intelforge.store.database import translation

T = TypeVar("T")

QUEUE: Final = "intelforge"
POLLING_SECONDS: Final = 0.05
CLOSE_SECONDS: Final = 600
UNFINISHED: Final = ["ENQUEUED", "PENDING"]
# A process runs jobs of its own version only: change it when jobs submitted before could not be finished after. Those
# are dropped: their items are still on record as pending, and the next listing finds them.
APPLICATION_VERSION: Final = "1"

DAMAGED_HINT: Final = "delete that file and run: intelforge sync (it holds no documents, only work under way)"

_instance = threading.Lock()
_active: "list[DbosEngine]" = []


class JsonSerializer(Serializer):
    """Job state as JSON: readable by anyone, executed by none."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=str)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "intelforge_json"


class DbosEngine:
    """A JobEngine over DBOS."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._kinds: Mapping[str, Sequence[Step]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor = ""
        self._translated: AbstractContextManager[None] = nullcontext()
        self._running: set[str] = set()
        self._stalled: set[str] = set()

    async def start(self, kinds: Mapping[str, Sequence[Step]], *, executor: str, concurrency: int) -> None:
        self._translated = translation(self._database_url, hints={ErrorCode.DAMAGED: DAMAGED_HINT})
        while not _instance.acquire(blocking=False):  # noqa: ASYNC110 - held by another thread's loop, perhaps
            await asyncio.sleep(POLLING_SECONDS)
        self._loop, self._kinds, self._executor = asyncio.get_running_loop(), kinds, executor
        _active.append(self)
        try:
            await self._call(self._launch, executor, concurrency)
        except BaseException:
            await self.close()
            raise

    def _launch(self, executor: str, concurrency: int) -> None:
        # DBOS logs to the console unless its logger has a handler; what it has to say reaches users as errors.
        logger = logging.getLogger("dbos")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        config: DBOSConfig = {
            "name": "intelforge",
            "system_database_url": self._database_url,
            "executor_id": executor,
            "application_version": APPLICATION_VERSION,
            "serializer": JsonSerializer(),
            "log_level": "ERROR",
            "console_log_level": "CRITICAL",
            "enable_otlp": False,
        }
        dbos = DBOS(config=config)
        DBOS.launch()
        # Else it waits for a lost connection without end. Its client has an option for this, its configuration has not.
        dbos._sys_db._retry_connection_errors = False  # noqa: SLF001
        DBOS.register_queue(
            QUEUE, worker_concurrency=concurrency, polling_interval_sec=POLLING_SECONDS, on_conflict="always_update"
        )

    async def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Runs what DBOS does over the database in a thread, and translates the database's errors."""
        with self._translated:
            return await asyncio.to_thread(function, *arguments)

    async def submit(self, kind: str, job_id: str, payload: Payload) -> None:
        await self._call(self._submit, kind, job_id, payload)

    def _submit(self, kind: str, job_id: str, payload: Payload) -> None:
        with SetWorkflowID(job_id):
            DBOS.enqueue_workflow(QUEUE, _job, kind, dict(payload))

    async def unfinished(self, prefix: str) -> list[str]:
        return await self._call(self._unfinished, prefix)

    def _unfinished(self, prefix: str) -> list[str]:
        found = DBOS.list_workflows(status=UNFINISHED, workflow_id_prefix=prefix, load_input=False, load_output=False)
        return sorted(workflow.workflow_id for workflow in found)

    async def recover(self, alive: Collection[str]) -> None:
        await self._call(self._recover, alive)

    def _recover(self, alive: Collection[str]) -> None:
        unfinished = DBOS.list_workflows(status=UNFINISHED, load_input=False, load_output=False)
        foreign = [workflow.workflow_id for workflow in unfinished if workflow.app_version != APPLICATION_VERSION]
        if foreign and not set(alive) - {self._executor}:
            DBOS.delete_workflows(foreign)
        pending = [
            workflow
            for workflow in unfinished
            if workflow.status == "PENDING" and workflow.app_version == APPLICATION_VERSION
        ]
        # A job of this process that its database could not note as ended runs nowhere. One that is seen so once may
        # be about to begin or to end.
        own = {workflow.workflow_id for workflow in pending if workflow.executor_id == self._executor}
        idle = own - self._running
        for workflow in pending:
            if workflow.executor_id not in alive or workflow.workflow_id in idle & self._stalled:
                DBOS.resume_workflow(workflow.workflow_id, queue_name=QUEUE)
        self._stalled = idle

    async def settle(self, prefix: str) -> dict[str, str]:
        return await self._call(self._settle, prefix)

    def _settle(self, prefix: str) -> dict[str, str]:
        found = DBOS.list_workflows(workflow_id_prefix=prefix, load_input=False)
        ended = [workflow for workflow in found if workflow.status not in UNFINISHED]
        DBOS.delete_workflows([workflow.workflow_id for workflow in ended])
        return {
            workflow.workflow_id: str(workflow.error or workflow.status)
            for workflow in ended
            if workflow.status != "SUCCESS"
        }

    async def close(self) -> None:
        if self in _active:
            # Waiting costs DBOS a second even when nothing runs. A job that begins this very moment is recovered later.
            seconds = CLOSE_SECONDS if self._running else 0
            await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=seconds)
            _active.remove(self)
            _instance.release()

    def run_step(self, kind: str, number: int, payload: Payload) -> Payload:
        """Runs one step on the workspace's event loop and waits for it; called from DBOS's threads."""
        if self._loop is None:
            raise RuntimeError("the engine has not been started")
        coroutine = self._kinds[kind][number](payload)
        return asyncio.run_coroutine_threadsafe(_awaited(coroutine), self._loop).result()

    def run_job(self, job_id: str, kind: str, payload: Payload) -> Payload:
        """Runs the steps of a job one after the other, in the thread DBOS gave it."""
        self._running.add(job_id)
        try:
            for number in range(len(self._kinds[kind])):
                payload = _step(kind, number, payload)
            return payload
        finally:
            self._running.discard(job_id)


async def _awaited(step: Any) -> Payload:
    result: Payload = await step
    return result


@DBOS.step(name="intelforge.step")
def _step(kind: str, number: int, payload: Payload) -> Payload:
    return dict(_active[0].run_step(kind, number, payload))


@DBOS.workflow(name="intelforge.job")
def _job(kind: str, payload: Payload) -> Payload:
    return _active[0].run_job(str(DBOS.workflow_id), kind, payload)


def open_engine(url: str, *, database_url: str) -> DbosEngine:
    """`dbos:` keeps the jobs beside the database of record; `dbos:URL` in another database."""
    _, _, own = url.partition(":")
    return DbosEngine(own or database_url)

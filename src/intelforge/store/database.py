"""A connection to the database of record, and the translation of its errors."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from intelforge.core.errors import ErrorCode, IntelForgeError, StorageError
from intelforge.core.registry import load_backend
from intelforge.store.migrations import HEAD, KNOWN

T = TypeVar("T")

BEGIN = "intelforge_begin"

HINTS = {
    ErrorCode.DISK_FULL: "free some space and run the command again; nothing was lost",
    ErrorCode.READ_ONLY: "make the workspace writable, or open a copy of it",
    ErrorCode.BUSY: "another process is writing; try again",
    ErrorCode.DAMAGED: "restore the file from a backup",
    ErrorCode.UNREACHABLE: "start the database server, or mend the setting `database`",
    ErrorCode.REFUSED: "mend user or password in the setting `database`",
    ErrorCode.NOT_FOUND: "create that database, or mend the setting `database`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What differs between database servers: everything else is the same SQL."""

    engine: AsyncEngine
    direct: Callable[[], Engine]
    """makes an engine without async for the same database: its transactions take one step to a thread, not one each"""
    insert: Callable[[Any], Any]
    """the dialect's INSERT with ON CONFLICT"""
    begin_write: str
    """the statement that begins a writing transaction; empty for the driver's own"""
    lock_migration: str
    """the statement that lets one process at a time migrate; empty where every write does"""
    jobs_url: str = field(repr=False)
    """where the job engine keeps its state"""
    single_writer: bool
    code_of: Callable[[str], ErrorCode | None]


class Database:
    """Transactions on the database of record. Errors that leave it are StorageErrors with a way to mend them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._writing: AbstractAsyncContextManager[Any] = asyncio.Lock() if backend.single_writer else nullcontext()
        self._options = {BEGIN: backend.begin_write} if backend.begin_write else {}
        self._writer = backend.engine.execution_options(**self._options)
        self._direct: Engine | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    @property
    def insert(self) -> Callable[[Any], Any]:
        return self._backend.insert

    @property
    def shown_url(self) -> str:
        """Where the database is, without a password."""
        url = self._backend.engine.url
        return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)

    @property
    def jobs_url(self) -> str:
        return self._backend.jobs_url

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view of the database."""
        with self._translated():
            async with self._backend.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is durable when the block ends, and undone when it raises."""
        with self._translated():
            async with self._writing, self._writer.begin() as connection:
                yield connection

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """A transaction like `write`, made as a whole in a thread: for small ones that come often.

        One that has begun is not cancelled: it ends, and what it gives is returned.
        """
        with self._translated():
            async with self._writing:
                running = asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
                while not running.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([running])
                return running.result()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        if self._direct is None:
            self._direct = self._backend.direct().execution_options(**self._options)
        with self._direct.begin() as connection:
            return work(connection)

    async def migrate(self) -> None:
        """Brings the schema to this version's. Raises StorageError NEWER_WORKSPACE when it is ahead of it."""
        async with self.read() as connection:
            current = await connection.run_sync(_current_revision)
        if current == HEAD:
            return
        if current is not None and current not in KNOWN:
            raise StorageError(
                f"this workspace was made by a newer version of IntelForge (schema {current}, this one knows {HEAD})",
                hint="upgrade: pip install --upgrade intelforge",
                code=ErrorCode.NEWER_WORKSPACE,
            )
        from intelforge.store.migrations.run import upgrade  # alembic is slow to import and rarely needed

        with self._translated():
            async with self._writing, self._writer.begin() as connection:
                if self._backend.lock_migration:
                    await connection.execute(text(self._backend.lock_migration))
                await connection.run_sync(upgrade)

    async def close(self) -> None:
        if self._direct is not None:
            self._thread.submit(self._direct.dispose).result()
        self._thread.shutdown()
        await self._backend.engine.dispose()

    def _translated(self) -> "_Translation":
        return _Translation(self._backend.code_of, self.shown_url)


class _Translation(AbstractContextManager[None]):
    """Turns the driver's errors into ours."""

    def __init__(
        self,
        code_of: Callable[[str], ErrorCode | None],
        shown_url: str,
        hints: Mapping[ErrorCode, str] = MappingProxyType(HINTS),
    ) -> None:
        self._code_of = code_of
        self._shown_url = shown_url
        self._hints = hints

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DBAPIError | OSError) and not isinstance(error, IntelForgeError):
            cause = str(error.orig if isinstance(error, DBAPIError) else error)
            code = self._code_of(cause)
            if code is None and isinstance(error, OSError):
                return
            lost = isinstance(error, DBAPIError) and error.connection_invalidated
            code = code or (ErrorCode.UNREACHABLE if lost else ErrorCode.INTERNAL)
            first_line = (cause.strip() or type(error).__name__).splitlines()[0]
            raise StorageError(
                f"the database {self._shown_url}: {first_line}", hint=self._hints.get(code, ""), code=code
            ) from error


def _current_revision(connection: Any) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(select(text("version_num")).select_from(text("alembic_version"))).scalar()
    return revision


def translation(url: str, *, hints: Mapping[ErrorCode, str]) -> AbstractContextManager[None]:
    """Turns what another driver raises over the database at `url` into StorageErrors; may be entered many times.

    `hints` replaces those of some errors.
    """
    backend: Backend = load_backend("databases", url)(url, root=Path.cwd())
    return _Translation(backend.code_of, Database(backend).shown_url, {**HINTS, **hints})


async def open_database(url: str, *, root: Path) -> Database:
    """Opens the database named by a URL; relative files are below `root`. Migrates it when it is behind."""
    database = Database(load_backend("databases", url)(url, root=root))
    try:
        await database.migrate()
    except BaseException:
        await database.close()
        raise
    return database

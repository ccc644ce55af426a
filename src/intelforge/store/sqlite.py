"""SQLite as the database of record: one file, write-ahead log, every commit on disk before it is acknowledged."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from intelforge.core.errors import BackendError, ErrorCode, StorageError
from intelforge.core.write_ahead import write_ahead
from intelforge.store.database import BEGIN, Backend

BUSY_SECONDS = 30


def open_backend(url: str, *, root: Path) -> Backend:
    """`sqlite:///relative/to/the/workspace.db` or `sqlite:////absolute.db`."""
    name = make_url(url).database
    if not name or name == ":memory:":
        raise BackendError(f"the database {url} names no file", hint="sqlite:///.intelforge/intelforge.db")
    path = root / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path.parent} cannot be created: {error.strerror}", hint="check its permissions"
        ) from error
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        poolclass=AsyncAdaptedQueuePool,
        pool_size=5,
        connect_args={"timeout": BUSY_SECONDS},
    )
    _configure(engine.sync_engine)

    def direct() -> Engine:
        made = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})
        _configure(made)
        return made

    jobs = f"sqlite:///{path.with_name(path.stem + '-jobs' + path.suffix)}"
    return Backend(
        engine=engine,
        direct=direct,
        insert=insert,
        begin_write="BEGIN IMMEDIATE",
        lock_migration="",
        jobs_url=jobs,
        single_writer=True,
        code_of=_code_of,
    )


def _configure(engine: Engine) -> None:
    """Begins transactions itself: a write takes its lock at the start, so it waits instead of failing half-way."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        write_ahead(cursor.execute)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_SECONDS * 1000}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(BEGIN, "BEGIN"))


def _code_of(message: str) -> ErrorCode | None:
    """What SQLite's message means, None when it is nothing a user could mend."""
    for fragment, code in (
        ("disk is full", ErrorCode.DISK_FULL),
        ("disk I/O error", ErrorCode.DISK_FULL),
        ("readonly database", ErrorCode.READ_ONLY),
        ("unable to open database", ErrorCode.READ_ONLY),
        ("locked", ErrorCode.BUSY),
        ("malformed", ErrorCode.DAMAGED),
        ("not a database", ErrorCode.DAMAGED),
    ):
        if fragment in message:
            return code
    return None

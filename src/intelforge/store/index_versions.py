"""The repository of index versions: which one answers, which one is being built, and which one was before."""

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from intelforge.core.clock import Clock, utc_now
from intelforge.core.errors import BusyError, ErrorCode, NotFoundError, StorageError
from intelforge.core.index_reports import BuildReason, IndexState, IndexVersion
from intelforge.store.database import Database
from intelforge.store.tables import FactRow, IndexVersionRow, StandingRow

LAST = "index_version_last"
"""the fact that holds the highest number ever given"""


class IndexVersions:
    """The versions of the index. One is live; at most one is being built, and at most one is kept to go back to."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def all(self) -> list[IndexVersion]:
        """Oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(IndexVersionRow).order_by(IndexVersionRow.number))
            return [_version(row) for row in rows]

    async def in_state(self, state: IndexState) -> IndexVersion | None:
        """The one that is live, being built, or was before."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(IndexVersionRow).where(IndexVersionRow.state == state))).first()
        return _version(row) if row else None

    async def first(self, *, url: str, embedder: str) -> IndexVersion:
        """The live version; where there is none at all, a first one, which is live at once.

        A live one without a URL was there before versions were kept: it is where the settings say.
        """
        if found := await self.in_state(IndexState.LIVE):
            return found if found.url else await self._placed(found.number, url=url, embedder=embedder)
        async with self._database.write() as connection:
            if not (await connection.execute(select(func.count()).select_from(IndexVersionRow))).scalar():
                version = IndexVersion(
                    number=await self._next(connection),
                    url=url,
                    embedder=embedder,
                    state=IndexState.LIVE,
                    reason=BuildReason.FIRST,
                    created_at=self._clock(),
                    live_at=self._clock(),
                )
                await connection.execute(self._database.insert(IndexVersionRow).on_conflict_do_nothing(), _row(version))
        live = await self.in_state(IndexState.LIVE)
        if live is None:
            raise StorageError(
                "no version of the index is live", hint="restore the database from a backup", code=ErrorCode.DAMAGED
            )
        return live

    async def _placed(self, number: int, *, url: str, embedder: str) -> IndexVersion:
        which = update(IndexVersionRow).where(IndexVersionRow.number == number, IndexVersionRow.url == "")
        async with self._database.write() as connection:
            await connection.execute(which.values(url=url, embedder=embedder))
        return await self._of(number)

    async def begin(self, *, url: str, embedder: str, model: str, reason: BuildReason) -> IndexVersion:
        """A new version, to be built. Raises BusyError while another is: that one must be retired before."""
        async with self._database.write() as connection:
            building = select(IndexVersionRow.number).where(IndexVersionRow.state == IndexState.BUILDING)
            if (await connection.execute(building)).first():
                raise BusyError("another process began to build a version of the index", hint="run it again")
            version = IndexVersion(
                number=await self._next(connection),
                url=url,
                embedder=embedder,
                model=model,
                state=IndexState.BUILDING,
                reason=reason,
                created_at=self._clock(),
            )
            await connection.execute(self._database.insert(IndexVersionRow), _row(version))
        return version

    async def resume(self, number: int) -> IndexVersion:
        """Makes the version before one that is being built: what it holds need not be made again."""
        async with self._database.write() as connection:
            which = update(IndexVersionRow).where(IndexVersionRow.number == number)
            values = {"state": IndexState.BUILDING, "reason": BuildReason.SETTINGS}
            await connection.execute(which.values(**values))
        return await self._of(number)

    async def set_embedder(self, number: int, *, embedder: str, model: str) -> None:
        """Records whose vectors a version has."""
        which = update(IndexVersionRow).where(IndexVersionRow.number == number)
        async with self._database.write() as connection:
            await connection.execute(which.values(embedder=embedder, model=model))

    async def go_live(self, number: int) -> IndexVersion:
        """Makes a version the one that answers, in one step; the one that did is kept as the one before.

        The one before that is retired. Raises NotFoundError, and changes nothing, for a version that was given up.
        """
        mine, others = IndexVersionRow.number == number, IndexVersionRow.number != number
        ready = IndexVersionRow.state.in_([IndexState.BUILDING, IndexState.PREVIOUS])
        async with self._database.write() as connection:
            live = {"state": IndexState.LIVE, "live_at": self._clock()}
            if not (await connection.execute(update(IndexVersionRow).where(mine, ready).values(**live))).rowcount:
                raise NotFoundError(
                    f"version {number} of the index was given up meanwhile", hint="see: intelforge index versions"
                )
            for old, new in ((IndexState.PREVIOUS, IndexState.RETIRED), (IndexState.LIVE, IndexState.PREVIOUS)):
                which = update(IndexVersionRow).where(others, IndexVersionRow.state == old)
                await connection.execute(which.values(state=new))
        return await self._of(number)

    async def retire(self, number: int) -> None:
        """Records that a version that does not answer is given up; what it holds is dropped later."""
        idle = (IndexVersionRow.number == number, IndexVersionRow.state != IndexState.LIVE)
        async with self._database.write() as connection:
            await connection.execute(update(IndexVersionRow).where(*idle).values(state=IndexState.RETIRED))

    async def forget(self, number: int) -> None:
        """Deletes the record of a version whose store holds nothing any more."""
        async with self._database.write() as connection:
            await connection.execute(delete(StandingRow).where(StandingRow.version == number))
            await connection.execute(delete(IndexVersionRow).where(IndexVersionRow.number == number))

    async def _of(self, number: int) -> IndexVersion:
        return next(one for one in await self.all() if one.number == number)

    async def _next(self, connection: AsyncConnection) -> int:
        """A number that no version ever had: other processes may still have its store open."""
        used = (await connection.execute(select(func.max(IndexVersionRow.number)))).scalar() or 0
        noted = (await connection.execute(select(FactRow.value).where(FactRow.name == LAST))).scalar() or 0
        number = max(used, int(noted)) + 1
        statement = self._database.insert(FactRow).values(name=LAST, value=str(number))
        await connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": str(number)}))
        return number


def _row(version: IndexVersion) -> list[dict[str, Any]]:
    return [asdict(version)]


def _version(row: Any) -> IndexVersion:
    names = IndexVersion.__dataclass_fields__
    found = IndexVersion(**{name: getattr(row, name) for name in names})
    return replace(found, state=IndexState(row.state), reason=BuildReason(row.reason))

"""What can be done with the router of a workspace: looking at it, freezing it, carrying it away, replaying its log."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from intelforge.core.errors import InvalidInputError, NotFoundError, StorageError
from intelforge.core.routing import ModelStanding, Replay, RouterStatus
from intelforge.models.router.database import DatabaseRouterLog
from intelforge.models.router.log import Routed
from intelforge.models.router.replay import replay
from intelforge.models.router.router import Options, Router
from intelforge.models.router.service import NAME
from intelforge.models.router.state import candidates_in, exported, restore
from intelforge.models.router.values import PREFERENCES, Judgement, Preference
from intelforge.parts import Parts

LARGEST = 1 << 30
"""bytes of a file that is read"""


class Routing:
    """The router of one workspace, as it was last kept."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def status(self) -> RouterStatus:
        """What it has learned so far. Raises NotFoundError before it was first used."""
        return _status(await self._router())

    async def freeze(self) -> RouterStatus:
        """From now on it learns nothing and tries nothing out."""
        router = await self._router()
        await asyncio.to_thread(router.freeze)
        await self._save(router)
        return _status(router)

    async def unfreeze(self) -> RouterStatus:
        """It learns and explores again."""
        router = await self._router()
        router.unfreeze()
        await self._save(router)
        return _status(router)

    async def export(self, path: Path) -> RouterStatus:
        """Writes all it has learned to a file of numbers; no words of any request are in it. Raises StorageError."""
        router = await self._router()
        state = await asyncio.to_thread(exported, router)
        try:
            await asyncio.to_thread(path.write_bytes, state)
        except OSError as error:
            raise StorageError(
                f"{path} cannot be written: {error.strerror or error}", hint="choose another place"
            ) from error
        return _status(router)

    async def load(self, path: Path) -> RouterStatus:
        """Puts what such a file holds in place of all it has learned. Raises NotFoundError, InvalidInputError."""
        state = await asyncio.to_thread(_read, path)
        router = await asyncio.to_thread(_opened, state, self._options)
        await self._save(router)
        return _status(router)

    async def rate(self, call: str, quality: float) -> RouterStatus:
        """Says how good the reply of a routed call was, from 0 to 1. Raises NotFoundError, InvalidInputError.

        The call's id is in the decision that came with the reply.
        """
        await self._parts.lending.router.judge(call, quality, Judgement.RATING)
        return await self.status()

    async def replay(self, path: Path | None = None, *, preferences: Sequence[str] = ()) -> Replay:
        """What the router would have scored on a log of calls under each preference, and each model called always.

        Without a path the calls on record are taken. Raises NotFoundError, InvalidInputError.
        """
        wanted = [Preference.parse(text) for text in preferences or PREFERENCES]
        router = await self._router()
        if path is None:
            log = list(await self._log().all())
        else:
            text = (await asyncio.to_thread(_read, path)).decode("utf-8", "replace")
            log = await asyncio.to_thread(_lines, text, path)
        return await asyncio.to_thread(replay, log, router.candidates, wanted)

    async def _router(self) -> Router:
        state = await self._log().load(NAME)
        if state is None:
            raise NotFoundError(
                "the router has not been used in this workspace",
                hint="set llm to router:, or: intelforge router import",
            )
        return await asyncio.to_thread(_opened, state, self._options)

    async def _save(self, router: Router) -> None:
        await self._log().save(NAME, await asyncio.to_thread(exported, router))

    @property
    def _options(self) -> Options:
        return self._parts.lending.router.options

    def _log(self) -> DatabaseRouterLog:
        return DatabaseRouterLog(self._parts.database)


def _opened(state: bytes, options: Options) -> Router:
    router = Router(candidates_in(state), options)
    restore(router, state)
    return router


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidInputError(f"{path} is larger than 1 GiB", hint="give a part of it")
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror or error}", hint="check the path") from error


def _lines(text: str, path: Path) -> list[Routed]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        values: object = None
        with suppress(json.JSONDecodeError):
            values = json.loads(line)
        if not isinstance(values, dict):
            raise InvalidInputError(f"line {number} of {path} is no JSON object", hint="give one object in each line")
        try:
            found.append(Routed.from_json(values))
        except InvalidInputError as error:
            raise InvalidInputError(f"line {number} of {path}: {error.message}", hint=error.hint) from error
    return found


def _status(router: Router) -> RouterStatus:
    candidates = {one.name: one for one in router.candidates}
    options = router.options
    standings = []
    for name, tracker in router.trackers.items():
        one = candidates.get(name)
        standings.append(
            ModelStanding(
                model=name,
                candidate=one is not None,
                local=one.local if one else False,
                prior=one.prior if one else 0.5,
                quality=router.mean_quality(name),
                shift=tracker.shift,
                latency=tracker.latency,
                input_price=one.input_price if one else 0.0,
                output_price=one.output_price if one else 0.0,
                calls=tracker.calls,
                judged=tracker.judged,
            )
        )
    return RouterStatus(
        frozen=router.frozen,
        preference=options.preference.name,
        exploration_share=options.exploration.share,
        exploration_cost_share=options.exploration.cost_share,
        requests=len(router.experience),
        spent=router.spending.total,
        spent_exploring=router.spending.exploring,
        models=tuple(standings),
    )

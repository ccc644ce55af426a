"""What can be done with the router of a workspace: looking at it, freezing it, carrying it away, replaying its log."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from intelforge.core.errors import InvalidInputError, NotFoundError, StorageError
from intelforge.core.routing import ModelStanding, Replay, RouterStatus
from intelforge.models.router.log import Routed
from intelforge.models.router.replay import replay
from intelforge.models.router.service import RouterService
from intelforge.models.router.state import exported
from intelforge.models.router.values import PREFERENCES, Judgement, Preference
from intelforge.models.targets import AUTO, ROUTER
from intelforge.parts import Parts

LARGEST = 1 << 30
"""bytes of a file that is read"""


class Routing:
    """The router of one workspace, as every process that uses it has it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def status(self) -> RouterStatus:
        """What it has learned so far. Raises NotFoundError before it was first used."""
        return await _status(await self._used())

    async def freeze(self) -> RouterStatus:
        """From now on it learns nothing and tries nothing out."""
        service = await self._used()
        await service.freeze()
        return await _status(service)

    async def unfreeze(self) -> RouterStatus:
        """It learns and explores again."""
        service = await self._used()
        await service.unfreeze()
        return await _status(service)

    async def export(self, path: Path) -> RouterStatus:
        """Writes all it has learned to a file of numbers; no words of any request are in it. Raises StorageError."""
        service = await self._used()
        await service.caught_up()
        state = await asyncio.to_thread(exported, service.router)
        try:
            await asyncio.to_thread(path.write_bytes, state)
        except OSError as error:
            raise StorageError(
                f"{path} cannot be written: {error.strerror or error}", hint="choose another place"
            ) from error
        return await _status(service)

    async def load(self, path: Path, *, dry_run: bool = False) -> RouterStatus:
        """Puts what such a file holds in place of all it has learned, which is given; a dry run only checks the file.

        Raises NotFoundError, InvalidInputError.
        """
        state = await asyncio.to_thread(_read, path)
        service = await self._service()
        await (service.check(state) if dry_run else service.replace(state))
        return await _status(service)

    async def rate(self, call: str, quality: float, *, evaluation: bool = False) -> RouterStatus:
        """Says how good the reply of a routed call was, from 0 to 1; as measured by an `evaluation`, or as rated.

        The call's id is in the decision that came with the reply. Raises NotFoundError, InvalidInputError.
        """
        source = Judgement.EVALUATION if evaluation else Judgement.RATING
        await self._service()
        await self._parts.lending.router.judge(call, quality, source)
        return await self.status()

    async def replay(self, path: Path | None = None, *, preferences: Sequence[str] = ()) -> Replay:
        """What the router would have scored on a log of calls under each preference, and each model called always.

        Without a path the calls on record are taken. Raises NotFoundError, InvalidInputError.
        """
        wanted = [Preference.parse(text) for text in preferences or PREFERENCES]
        router = (await (self._used() if path is None else self._service())).router
        if not router.candidates:
            raise _unused()
        if path is None:
            log = list(await self._parts.lending.router.log.all())
        else:
            text = (await asyncio.to_thread(_read, path)).decode("utf-8-sig", "replace")
            log = await asyncio.to_thread(_lines, text, path)
        return await asyncio.to_thread(replay, log, router.candidates, wanted)

    async def _used(self) -> RouterService:
        """Raises NotFoundError before it was first used."""
        service = await self._service()
        await self._parts.lending.router.caught_up()
        await service.follow()
        if not service.used:
            raise _unused()
        return service

    async def _service(self) -> RouterService:
        """With the candidates of the settings; where they name no router, with those of whoever used it.

        Which model `auto` is, only a look at Ollama would tell.
        """
        settings, lent = self._parts.settings, self._parts.lending.router
        routers = [url for url in (settings.llm, *settings.llm_models) if url.startswith(ROUTER)]
        return await lent.service([one for url in routers for one in lent.candidates(url) if one not in AUTO])


def _unused() -> NotFoundError:
    return NotFoundError(
        "the router has not been used in this workspace", hint="set llm to router:, or: intelforge router import"
    )


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidInputError(f"{path} is larger than 1 GiB", hint="give a part of it")
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror or error}", hint="check the path") from error


def _lines(text: str, path: Path) -> list[Routed]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        values: object = None
        with suppress(ValueError, RecursionError):
            values = json.loads(line)
        if not isinstance(values, dict):
            raise InvalidInputError(f"line {number} of {path} is no JSON object", hint="give one object in each line")
        try:
            found.append(Routed.from_json(values))
        except InvalidInputError as error:
            raise InvalidInputError(f"line {number} of {path}: {error.message}", hint=error.hint) from error
    return found


async def _status(service: RouterService) -> RouterStatus:
    await service.caught_up()
    router = service.router
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

"""Profiles in the database of record."""

from intelforge.core.model_reports import Profile
from intelforge.models.catalogue.profile import from_json, to_json
from intelforge.store.model_profiles import ModelProfiles, StoredProfile


class KeptProfiles:
    """Keeps profiles. One that a later version wrote, and this one cannot read, is as if it were not there."""

    def __init__(self, store: ModelProfiles) -> None:
        self._store = store

    async def keep(self, profile: Profile) -> None:
        await self._store.keep(StoredProfile(model=profile.model, at=profile.at, result=to_json(profile)))

    async def latest(self, model: str) -> Profile | None:
        stored = await self._store.latest(model)
        return _read(stored) if stored else None

    async def all(self) -> list[Profile]:
        return [found for stored in await self._store.all() if (found := _read(stored))]


def _read(stored: StoredProfile) -> Profile | None:
    try:
        return from_json(stored.result)
    except (KeyError, TypeError, ValueError):
        return None

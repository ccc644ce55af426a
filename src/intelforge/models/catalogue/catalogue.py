"""Looks models up: what a user's file says, what was measured, what is built in, what the price list says."""

import asyncio
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from intelforge.core.errors import StorageError
from intelforge.core.model_reports import Profile, Skill
from intelforge.models.catalogue.facts import Abilities, Modality, ModelFacts, Prices
from intelforge.models.catalogue.hosted import hosted
from intelforge.models.catalogue.overrides import Override
from intelforge.models.catalogue.prices import listed, nano
from intelforge.models.catalogue.tags import read_local
from intelforge.models.ollama import is_remote
from intelforge.models.protocol import Abilities as TakenAbilities

FREE: Final = Prices(input=0, output=0, cache_read=0, cache_write=0)
LOCAL: Final = ("ollama", "mock")
BUILT_IN: Final = "catalogue"
PRICE_LIST: Final = "genai-prices"
FILE: Final = "model_facts"
SERVED: Final = "OLLAMA_CONTEXT_LENGTH"
"""the environment variable that sets the context Ollama serves"""
SERVED_UNLESS_SET: Final = 4096
"""tokens of context that Ollama serves on machines without a large graphics card, whatever the model was made for"""

REFRESHED_SECONDS: Final = 10.0
"""after which it is looked what other processes measured"""


class Profiles(Protocol):
    """Where profiles are kept."""

    async def keep(self, profile: Profile) -> None: ...

    async def all(self) -> list[Profile]:
        """The newest of each model, by name."""
        ...


class Catalogue:
    """What is known of models, by `provider:name`. A model nobody knows has facts too: that nothing is known of it."""

    def __init__(
        self,
        *,
        overrides: Mapping[str, Override] | None = None,
        profiles: Profiles | None = None,
        environment: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._overrides = overrides or {}
        self._profiles = profiles
        self._environment = environment
        self._built_in: dict[str, ModelFacts] = {}
        self._now = now
        self._measured_profiles: dict[str, Profile] | None = None
        self._reading = asyncio.Lock()
        self._read_at = 0.0

    async def load(self) -> None:
        """Reads what was measured, and now and then again: another process may have measured more.

        While that cannot be read, what was read before counts. Raises StorageError when nothing was.
        """
        if self._due:
            async with self._reading:
                await self._read()

    @property
    def _due(self) -> bool:
        return self._measured_profiles is None or self._now() - self._read_at >= REFRESHED_SECONDS

    async def _read(self) -> None:
        if not self._due:
            return
        self._read_at = self._now()  # before it is read: whoever comes meanwhile goes on with what there is
        try:
            kept = await self._profiles.all() if self._profiles else []
        except StorageError:
            if self._measured_profiles is None:
                raise
            return
        self._measured_profiles = {profile.model: profile for profile in kept}

    async def keep(self, profile: Profile) -> None:
        """Keeps what was measured, and counts on it from now on."""
        await self.load()
        async with self._reading:
            if self._profiles:
                await self._profiles.keep(profile)
            self._measured_profiles = {**(self._measured_profiles or {}), profile.model: profile}

    async def measured(self) -> list[str]:
        """The models that were measured, by name."""
        await self.load()
        return sorted(self._measured_profiles or {})

    def facts(self, name: str) -> ModelFacts:
        """What is known without having asked the model. The price list takes a while to load, once."""
        if name not in self._built_in:
            found = _built_in(name)
            self._built_in[name] = _overridden(found, self._overrides[name]) if name in self._overrides else found
        return self._served(self._built_in[name])

    def given_prices(self, name: str) -> Prices | None:
        """What a model costs where the user's file says something of that; None otherwise."""
        given = self._overrides.get(name)
        named = ("input", "output", "cache_read", "cache_write")
        if given is None or all(getattr(given, f"{kind}_usd_per_million") is None for kind in named):
            return None
        return self.facts(name).prices

    async def measured_facts(self, name: str) -> ModelFacts:
        """What is known, with what a probe measured in the place of what is built in."""
        profile = await self.profile(name)
        # The price list takes a while to load, once.
        facts = self.facts(name) if name in self._built_in else await asyncio.to_thread(self.facts, name)
        if profile is None:
            return facts
        window = facts.context_window
        if profile.context_usable and profile.context_lost and FILE not in facts.origins:
            window = min(window or profile.context_usable, profile.context_usable)
        origins = (f"measured {profile.at:%Y-%m-%d}", *facts.origins)
        abilities = self._measured(profile, facts)
        return replace(facts, known=True, abilities=abilities, context_window=window, origins=origins)

    def surely_served(self, name: str) -> float:
        """How many tokens a server surely reads at once; infinite where it serves what the model was made for.

        Ollama serves less and says nothing, unless it was told, or a probe found a fact in so long a prompt.
        """
        given, profile = self._overrides.get(name), (self._measured_profiles or {}).get(name)
        told = given is not None and given.context_window is not None
        cut = name.startswith("ollama:") and not is_remote(name)
        if not cut or told or self._environment.get(SERVED):
            return math.inf
        return max(SERVED_UNLESS_SET, (profile.context_usable or 0) if profile else 0)

    async def profile(self, name: str) -> Profile | None:
        """What a probe measured, if one was made."""
        await self.load()
        return (self._measured_profiles or {}).get(name)

    def abilities(self, model: str) -> TakenAbilities | None:
        """Of a model that was measured, or that the user's file tells of; None otherwise. Once `load` has read them."""
        profile, given = (self._measured_profiles or {}).get(model), self._overrides.get(model)
        if profile is None and given is None:
            return None
        facts = self.facts(model)
        able = self._measured(profile, facts) if profile else facts.abilities
        known = {name: getattr(able, name) for name in ("tools", "json_schema", "images")}
        return TakenAbilities(**{name: value for name, value in known.items() if value is not None})

    def _measured(self, profile: Profile, facts: ModelFacts) -> Abilities:
        told, given = facts.abilities, self._overrides.get(facts.name)
        calls, schema = profile.able(Skill.TOOL_CALL), profile.able(Skill.SCHEMA)
        return Abilities(
            tools=told.tools if calls is None or (given and given.tools is not None) else calls,
            json_schema=told.json_schema if schema is None or (given and given.json_schema is not None) else schema,
            images=told.images,
            origin=f"measured {profile.at:%Y-%m-%d}",
        )

    def _served(self, facts: ModelFacts) -> ModelFacts:
        """An Ollama model with the context that Ollama is set to serve."""
        served = self._environment.get(SERVED, "").strip()
        if not facts.name.startswith("ollama:") or not served.isdigit() or not int(served) or FILE in facts.origins:
            return facts
        return replace(facts, context_window=min(int(served), facts.context_window or int(served)))


def _built_in(name: str) -> ModelFacts:
    provider, _, model = name.partition(":")
    here = provider in LOCAL and not is_remote(model)
    if here and (found := _local(name, model)):
        return found
    if here:
        return ModelFacts(name=name, known=False, local=True, prices=FREE)
    line, entry = hosted(model), listed(provider, model)
    context = (entry.context if entry else None) or (line.context if line else None)
    modalities = tuple(Modality(one) for one in line.modalities.split()) if line else ()
    abilities = Abilities()
    if line:
        images = Modality.IMAGE in modalities
        abilities = Abilities(tools=line.tools, json_schema=line.json_schema, images=images, origin=BUILT_IN)
    return ModelFacts(
        name=name,
        known=bool(line or entry),
        context_window=context,
        modalities=modalities,
        abilities=abilities,
        prices=entry.prices if entry else None,
        origins=(*((BUILT_IN,) if line else ()), *((PRICE_LIST,) if entry else ())),
    )


def _local(name: str, tag: str) -> ModelFacts | None:
    read = read_local(tag)
    model = read.model
    if model is None:
        return None
    images = (Modality.IMAGE,) if model.images else ()
    return ModelFacts(
        name=name,
        known=True,
        local=True,
        context_window=model.context,
        modalities=(Modality.TEXT, *images),
        # Ollama makes any model follow a schema: it constrains the tokens.
        abilities=Abilities(tools=model.tools, json_schema=True, images=model.images, origin=BUILT_IN),
        prices=FREE,
        open_model=model,
        quantisation=read.quantisation,
        origins=(BUILT_IN,),
    )


def _overridden(facts: ModelFacts, given: Override) -> ModelFacts:
    told, prices = facts.abilities, facts.prices or Prices()
    dollars = {
        "input": given.input_usd_per_million,
        "output": given.output_usd_per_million,
        "cache_read": given.cache_read_usd_per_million,
        "cache_write": given.cache_write_usd_per_million,
    }
    changed = {kind: nano(price) for kind, price in dollars.items() if price is not None}
    able = given.model_dump(include={"tools", "json_schema", "images"}, exclude_none=True)
    return replace(
        facts,
        known=True,
        context_window=given.context_window or facts.context_window,
        abilities=replace(told, **able, origin=FILE) if able else told,
        prices=replace(prices, **changed, tiered=False) if changed else facts.prices,
        origins=(FILE, *facts.origins),
    )

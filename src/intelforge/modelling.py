"""What is known and measured of language models: facts, probes, benchmarks, and which local one fits this machine."""

import asyncio
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from intelforge.core.accounting import NOBODY, on_behalf_of
from intelforge.core.chat import Accounting
from intelforge.core.clock import utc_now
from intelforge.core.errors import InvalidInputError, ModelError, NotFoundError
from intelforge.core.model_reports import (
    BenchReport,
    FittingModel,
    MachineReport,
    ModelCard,
    ModelPrices,
    ModelRecommendation,
    Preference,
    Profile,
    SimilarityCheck,
    SimilarityRow,
)
from intelforge.core.reports import Progress, Stage
from intelforge.core.stopping import unless_stopped
from intelforge.models.benching.bench import Bench, Contestant
from intelforge.models.benching.prompts import PROMPTS, read_prompts
from intelforge.models.benching.server_memory import server_memory
from intelforge.models.catalogue.facts import ModelFacts, Prices
from intelforge.models.catalogue.machine import GIGA, Machine, this_machine
from intelforge.models.catalogue.memory import memory_of
from intelforge.models.catalogue.prices import dollars
from intelforge.models.catalogue.recommend import Candidate, recommend
from intelforge.models.direct import direct_model
from intelforge.models.ollama import installed_models, ollama_url
from intelforge.models.probing.probe import LOCAL_CONTEXT, PAID_CONTEXT, Probe
from intelforge.models.response_cache.check import CHECK_FACT, write_check
from intelforge.models.response_cache.measure import THRESHOLDS, Measured, measure
from intelforge.models.response_cache.questions import read_questions
from intelforge.models.targets import (
    AUTO,
    NONE,
    ROUTER,
    Target,
    hosts_of,
    named,
    read_target,
    routed_urls,
    split_chain,
)
from intelforge.parts import Parts
from intelforge.security.egress import Egress

CONTEXT: Final = 8192
"""tokens that a recommendation has room for, unless told otherwise"""
OLLAMA_SECONDS: Final = 2.0
QUESTIONS: Final = 5000
"""of a file, that are compared with each other"""

Report = Callable[[Progress], None]


class Modelling:
    """The language models of one workspace."""

    def __init__(self, parts: Parts, stopping: asyncio.Event) -> None:
        self._parts = parts
        self._stopping = stopping

    async def cards(self, *names: str) -> list[ModelCard]:
        """What is known of models; of the workspace's own and of all that were probed when none is named.

        A model is named by its URL or its name. Raises ConfigError for what names no model, and when the file of
        the setting `model_facts` is wrong.
        """
        found = [named(name) for name in names] or await self._known()
        return [await self._card(name) for name in found]

    async def probe(
        self,
        url: str,
        *,
        context: int | None = None,
        accounting: Accounting = NOBODY,
        report: Report | None = None,
    ) -> Profile:
        """Tries what a model can do, and keeps what was measured.

        `context` is the longest prompt to try, in tokens; 0 tries none. It is 32,768 for local models and 8,192 for
        others unless their window is smaller. What it costs is entered under `accounting`. Raises NotFoundError,
        ConfigError, and ModelError or EgressError when the model cannot be asked at all.
        """
        target = await self._target(url)
        facts = await asyncio.to_thread(self._parts.lending.catalogue.facts, target.name)
        longest = LOCAL_CONTEXT if target.local else PAID_CONTEXT
        most = min(longest, facts.context_window or longest) if context is None else context
        if most < 0:
            raise InvalidInputError(f"a context of {most} tokens makes no sense", hint="give 0 or more")
        model = direct_model(self._parts.gateway, target, retries=self._parts.settings.llm_retries)
        with on_behalf_of(accounting):
            profile = await Probe(model=model, context=most, told=_telling(report)).run()
        await self._parts.lending.catalogue.keep(profile)
        return profile

    async def bench(
        self,
        urls: Sequence[str],
        *,
        prompts: Path | None = None,
        repeat: int = 3,
        accounting: Accounting = NOBODY,
        report: Report | None = None,
    ) -> BenchReport:
        """Measures how fast models answer, streamed and whole. What it costs is entered under `accounting`.

        When stopped, the running call is cancelled, and what was measured before is told.
        Raises NotFoundError, ConfigError, ModelError for a model without its key, InvalidInputError for the prompts.
        """
        if repeat < 1:
            raise InvalidInputError(f"{repeat} repeats make no sense", hint="give 1 or more")
        self._stopping.clear()
        asked = read_prompts(prompts) if prompts else PROMPTS
        contestants = await unless_stopped(self._contestants(urls), self._stopping) or []
        bench = Bench(prompts=asked, repeat=repeat, told=_telling(report), stopping=self._stopping)
        with on_behalf_of(accounting):
            summaries, calls = await bench.run(contestants)
        return BenchReport(models=tuple(summaries), calls=tuple(calls), at=utc_now())

    async def check_similarity(self, file: Path, *, accounting: Accounting = NOBODY) -> SimilarityCheck:
        """Measures on a file of questions how often the response cache would take one for another, and keeps that.

        What it costs to embed them is entered under `accounting`.
        Raises NotFoundError or InvalidInputError for the file, ModelError when there is no embedder.
        """
        questions = read_questions(file)[:QUESTIONS]
        embedder = await asyncio.to_thread(self._parts.search_models.embedder)
        if embedder is None:
            raise self._parts.search_models.embedder_error or ModelError(
                "there is no embedder to compare questions with",
                hint="set one: intelforge config set embedder onnx:all-MiniLM-L6-v2",
            )
        with on_behalf_of(accounting):
            vectors = await embedder.embed([question.text for question in questions])
        own = self._parts.settings.cache_similarity
        thresholds = sorted({*THRESHOLDS, *((own,) if own else ())})
        found = await asyncio.to_thread(lambda: measure(questions, vectors, thresholds=thresholds))
        shown = next((one for one in found if one.threshold == own), found[0])
        check = SimilarityCheck(
            file=str(file),
            questions=len(questions),
            embedder=embedder.name,
            threshold=own,
            rows=tuple(map(_row, found)),
            examples=shown.examples,
            at=utc_now(),
        )
        await self._parts.facts.set(CHECK_FACT, write_check(check))
        return check

    async def clear_cache(self, *, dry_run: bool = False) -> int:
        """Forgets all kept replies; how many there were, or are."""
        cache = self._parts.lending.cache
        if cache is None:
            return 0
        cleared = await (cache.count() if dry_run else cache.clear())
        if cache.trouble:
            raise ModelError(cache.trouble, hint="see the setting `cache`")
        return cleared

    async def _known(self) -> list[str]:
        settings = self._parts.settings
        urls = [part for url in (settings.llm, *settings.llm_models) for part in self._urls(url)]
        names = [read_target(url).name for url in urls if url not in (*NONE, *AUTO)]
        return list(dict.fromkeys([*names, *(await self._parts.lending.catalogue.measured())]))

    def _urls(self, url: str) -> tuple[str, ...]:
        """Of the models of a chain, or of those that a router chooses among."""
        return routed_urls(url, self._parts.settings.llm_models) if url.startswith(ROUTER) else split_chain(url)

    async def _card(self, name: str) -> ModelCard:
        catalogue = self._parts.lending.catalogue
        await asyncio.to_thread(catalogue.facts, name)  # the price list takes a while to load
        return card(await catalogue.measured_facts(name), await catalogue.profile(name))

    async def _target(self, url: str) -> Target:
        """The one model that a URL names. Raises NotFoundError when `auto` finds none."""
        url = url.strip()
        if url in AUTO:
            model = await self._parts.gateway.model(url)
            if model is None:
                raise NotFoundError(
                    "no Ollama with a model runs here", hint="name a model, for example ollama:qwen3:8b"
                )
            url = model.name
        if ":" not in url or url in NONE or len(split_chain(url)) != 1:
            raise InvalidInputError(f"{url!r} does not name one model", hint="name it as PROVIDER:MODEL")
        self._parts.egress.allow(*hosts_of(url))
        return await self._parts.gateway.target(url)

    async def _contestants(self, urls: Sequence[str]) -> list[Contestant]:
        return [await self._contestant(url) for url in urls]

    async def _contestant(self, url: str) -> Contestant:
        target, parts = await self._target(url), self._parts
        facts = await asyncio.to_thread(parts.lending.catalogue.facts, target.name)
        return Contestant(
            model=direct_model(parts.gateway, target),
            window=facts.context_window,
            memory=lambda: server_memory(target, parts.gateway.client),
        )


async def recommend_model(
    preference: Preference, *, memory_gb: float | None = None, context: int = CONTEXT
) -> ModelRecommendation:
    """Which local model and quantisation fits this machine. Raises InvalidInputError for what makes no sense."""
    if context < 1 or not 0 < (1 if memory_gb is None else memory_gb) < math.inf:
        raise InvalidInputError("context and memory must be more than nothing", hint="leave them out to measure")
    machine, installed = await asyncio.gather(this_machine(memory_gb=memory_gb), _installed())
    found = recommend(machine, preference, context=context, installed=installed or ())
    notes = () if installed is not None else ("no Ollama runs here: what is installed is not known",)
    return ModelRecommendation(
        preference=preference,
        machine=_machine(machine),
        context=context,
        chosen=_fitting(found.chosen) if found.chosen else None,
        reason=found.reason,
        table=tuple(map(_fitting, found.table)),
        notes=notes,
    )


def card(facts: ModelFacts, profile: Profile | None) -> ModelCard:
    """Facts as they are told."""
    model, packed = facts.open_model, facts.quantisation
    memory = memory_of(model, packed, context=min(CONTEXT, model.context)).total if model and packed else None
    return ModelCard(
        name=facts.name,
        known=facts.known,
        local=facts.local,
        context_window=facts.context_window,
        modalities=tuple(modality.value for modality in facts.modalities),
        tools=facts.abilities.tools,
        json_schema=facts.abilities.json_schema,
        images=facts.abilities.images,
        prices=_prices(facts.prices) if facts.prices else None,
        quantisation=packed.name if packed else "",
        memory_gb=None if memory is None else round(memory / GIGA, 2),
        licence=model.licence if model else "",
        origins=facts.origins,
        profile=profile,
    )


async def _installed() -> list[str] | None:
    """The models of a running Ollama; None when none runs."""
    url = ollama_url(os.environ)
    async with Egress(allow_hosts=hosts_of("ollama:any")) as egress, egress.client() as client:
        found = await installed_models(url, client, timeout=OLLAMA_SECONDS)
    return None if found is None else [model.name for model in found]


def _prices(prices: Prices) -> ModelPrices:
    told = {
        name: None if (value := getattr(prices, name)) is None else dollars(value)
        for name in ("input", "output", "cache_read", "cache_write")
    }
    return ModelPrices(**told, tiered=prices.tiered)


def _machine(machine: Machine) -> MachineReport:
    return MachineReport(
        memory_gb=round(machine.memory / GIGA, 1),
        usable_gb=round(machine.usable / GIGA, 1),
        cores=machine.cores,
        bandwidth_gb_per_second=round(machine.bandwidth / GIGA, 1),
        graphics=tuple(f"{one.name}, {one.memory / GIGA:.1f} GB" for one in machine.graphics),
    )


def _fitting(one: Candidate) -> FittingModel:
    model, memory = one.model, one.memory
    return FittingModel(
        model=one.pull,
        quantisation=one.quantisation.name,
        parameters_billion=round(model.parameters / GIGA, 2),
        weights_gb=round(memory.weights / GIGA, 2),
        cache_gb=round(memory.cache / GIGA, 2),
        overhead_gb=round(memory.overhead / GIGA, 2),
        memory_gb=round(memory.total / GIGA, 2),
        fits=one.fits,
        on_graphics=one.on_graphics,
        tokens_per_second=round(one.tokens_per_second, 1),
        quality=round(one.quality, 2),
        installed=one.installed,
        licence=model.licence,
        special=model.special,
        source=f"https://huggingface.co/{model.repository}",
    )


def _row(found: Measured) -> SimilarityRow:
    return SimilarityRow(
        threshold=found.threshold,
        false_hits=found.false_hits,
        false_hit_rate=found.false_hit_rate,
        false_hit_rate_by_vector=found.false_hits_by_vector / found.questions,
        hit_rate=found.hit_rate,
    )


def _telling(report: Report | None) -> Callable[[str, int, int], None]:
    def told(what: str, done: int, total: int) -> None:
        if report:
            report(Progress(stage=Stage.MEASURING, done=done, total=total, unit="calls", detail=what))

    return told

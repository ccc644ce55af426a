"""The language models of a workspace that returns what a test sets, for tests of the interfaces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intelforge.core.accounting import NOBODY
from intelforge.core.chat import Accounting
from intelforge.core.model_reports import (
    BenchCall,
    BenchReport,
    BenchSummary,
    FittingModel,
    MachineReport,
    ModelCard,
    ModelPrices,
    ModelRecommendation,
    Preference,
    Profile,
    SimilarityCheck,
    SimilarityRow,
    Skill,
    Trial,
)
from intelforge.core.reports import Progress, Stage

if TYPE_CHECKING:
    from intelforge.modelling import Modelling
else:
    Modelling = object  # the type checker holds the double to the real signatures; at run time it needs none of it

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
PROFILE = Profile(
    model="ollama:qwen3:8b",
    at=AT,
    trials=(
        Trial(skill=Skill.SCHEMA, tries=2, passed=2),
        Trial(skill=Skill.TOOL_CALL, tries=2, passed=0, detail="it made 0 calls"),
    ),
    first_token_seconds=0.4,
    tokens_per_second=21.5,
    context_usable=4096,
    context_lost=8192,
    calls=15,
)
HOSTED = ModelCard(
    name="openai:gpt-5",
    known=True,
    local=False,
    context_window=400_000,
    modalities=("text", "image"),
    tools=True,
    json_schema=True,
    images=True,
    prices=ModelPrices(input=1.25, output=10.0, cache_read=0.125, cache_write=None, tiered=True),
    quantisation="",
    memory_gb=None,
    licence="",
    origins=("catalogue", "genai-prices"),
    profile=None,
)
LOCAL = ModelCard(
    name="ollama:qwen3:8b",
    known=True,
    local=True,
    context_window=4096,
    modalities=("text",),
    tools=False,
    json_schema=True,
    images=None,
    prices=ModelPrices(input=0.0, output=0.0, cache_read=0.0, cache_write=0.0, tiered=False),
    quantisation="q4_K_M",
    memory_gb=7.0,
    licence="Apache-2.0",
    origins=("measured 2026-05-04", "catalogue"),
    profile=PROFILE,
)
SIMILARITY = SimilarityCheck(
    file="questions.jsonl",
    questions=500,
    embedder="onnx:all-MiniLM-L6-v2",
    threshold=0.0,
    rows=(
        SimilarityRow(threshold=0.9, false_hits=5, false_hit_rate=0.01, false_hit_rate_by_vector=0.04, hit_rate=0.5),
        SimilarityRow(threshold=0.95, false_hits=0, false_hit_rate=0.0, false_hit_rate_by_vector=0.02, hit_rate=None),
    ),
    examples=(("how to open a file", "how to open files"),),
    at=AT,
)


def fitting(model: str, *, fits: bool = True, speed: float = 12.0, installed: str = "") -> FittingModel:
    return FittingModel(
        model=model,
        quantisation="q4_K_M",
        parameters_billion=8.19,
        weights_gb=5.01,
        cache_gb=1.21,
        overhead_gb=0.75,
        memory_gb=6.97,
        fits=fits,
        on_graphics=False,
        tokens_per_second=speed,
        quality=4.1,
        installed=installed,
        licence="Apache-2.0",
        special="",
        source="https://huggingface.co/Qwen/Qwen3-8B",
    )


def recommendation(preference: Preference, *, chosen: FittingModel | None) -> ModelRecommendation:
    machine = MachineReport(
        memory_gb=16.0, usable_gb=12.8, cores=8, bandwidth_gb_per_second=50.0, graphics=("NVIDIA T4, 16.1 GB",)
    )
    table = (*((chosen,) if chosen else ()), fitting("llama3.3:70b", fits=False))
    reason = "the largest and newest that fit" if chosen else "none of the known models fits"
    return ModelRecommendation(
        preference=preference,
        machine=machine,
        context=8192,
        chosen=chosen,
        reason=reason,
        table=table,
        notes=("no Ollama runs here",),
    )


def bench_report(*names: str, failed: bool = False) -> BenchReport:
    summaries = tuple(
        BenchSummary(
            model=name,
            calls=6,
            failed=6 if failed else 0,
            first_token_p50=None if failed else 0.25,
            first_token_p95=None if failed else 0.4,
            total_p50=None if failed else 3.0,
            total_p95=None if failed else 3.5,
            batch_total_p50=None if failed else 3.1,
            tokens_per_second_p50=None if failed else 20.0 / place,
            context_use_max=None if failed else 0.05,
            memory_gb=5.5,
            memory_of="the process ollama",
            cost_usd=None if failed else 0.0,
            error="it is not there" if failed else "",
        )
        for place, name in enumerate(names, start=1)
    )
    call = BenchCall(
        model=names[0],
        prompt=1,
        repeat=1,
        streamed=True,
        first_token=0.25,
        total=3.0,
        input_tokens=20,
        output_tokens=60,
        tokens_per_second=20.0,
        context_use=None,
        cost_usd=0.0,
    )
    return BenchReport(models=summaries, calls=(call,), at=AT)


@dataclass
class FakeModelling(Modelling):
    """Keeps what it was asked."""

    found: list[ModelCard] = field(default_factory=lambda: [HOSTED, LOCAL])
    failed: bool = False
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    accounted: list[Accounting] = field(default_factory=list)
    """for whom calls of models were to be made"""

    async def cards(self, *names: str) -> list[ModelCard]:
        self.calls.append(("cards", *names))
        return [card for card in self.found if not names or card.name in names]

    async def probe(
        self,
        url: str,
        *,
        context: int | None = None,
        accounting: Accounting = NOBODY,
        report: Callable[[Progress], None] | None = None,
    ) -> Profile:
        self.calls.append(("probe", url, context))
        self.accounted.append(accounting)
        if report:
            report(Progress(stage=Stage.MEASURING, done=1, total=15, unit="calls", detail="how fast it is"))
        return PROFILE

    async def bench(
        self,
        urls: Sequence[str],
        *,
        prompts: Path | None = None,
        repeat: int = 3,
        accounting: Accounting = NOBODY,
        report: Callable[[Progress], None] | None = None,
    ) -> BenchReport:
        self.calls.append(("bench", tuple(urls), prompts, repeat))
        self.accounted.append(accounting)
        return bench_report(*urls, failed=self.failed)

    async def check_similarity(self, file: Path, *, accounting: Accounting = NOBODY) -> SimilarityCheck:
        self.calls.append(("similar", file))
        self.accounted.append(accounting)
        return SIMILARITY

    async def clear_cache(self, *, dry_run: bool = False) -> int:
        self.calls.append(("forget", dry_run))
        return 12

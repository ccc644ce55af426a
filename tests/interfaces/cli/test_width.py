"""Tables are whole on a plain terminal of 80 columns, also where names are long and numbers are large."""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console, RenderableType

from intelforge.core.costs import Budget, BudgetStatus, Scope
from intelforge.core.index_reports import IndexState, IndexStats, Latency
from intelforge.core.model_reports import ModelCheck, Preference
from intelforge.core.reports import SourceStatus
from intelforge.core.routing import Estimate
from intelforge.core.values import ItemState, SourceKind
from intelforge.interfaces.cli.cost_tables import render_budgets, render_costs
from intelforge.interfaces.cli.index_tables import render_stats, render_versions
from intelforge.interfaces.cli.model_tables import render_bench, render_cards, render_profile, render_recommendation
from intelforge.interfaces.cli.routing_tables import render_replay, render_router
from intelforge.interfaces.cli.schema import CostOutput
from intelforge.interfaces.cli.tables import render_model_checks, render_sources, render_status
from intelforge.testing.costs import REPORT as COSTS
from intelforge.testing.costs import STATUSES as BUDGETS
from intelforge.testing.modelling import HOSTED, PROFILE, bench_report, fitting, recommendation
from intelforge.testing.routing import REPLAY
from intelforge.testing.routing import STATUS as ROUTER
from intelforge.testing.upkeep import SLOW
from intelforge.testing.upkeep import STATUS as VERSION
from intelforge.testing.workspace import AT, SOURCE, make_status

NAME: Final = "compatible:models.example.com:8443/qwen3-coder-480b"
URL: Final = "postgresql://me@database.example.com:5432/intelforge?schema=knowledge"
ESTIMATE: Final = Estimate(value=0.6201, low=0.5502, high=0.6903)


def bench() -> RenderableType:
    report = bench_report(NAME, "ollama:qwen3:8b")
    slow = replace(report.models[0], first_token_p50=100.25, first_token_p95=119.5, total_p50=345.6, total_p95=1456.7)
    first = replace(slow, tokens_per_second_p50=76_454.4, memory_gb=105.5, cost_usd=1234.5678)
    return render_bench(replace(report, models=(first, *report.models[1:])))


def cards() -> RenderableType:
    assert HOSTED.prices
    prices = replace(HOSTED.prices, input=12.125, output=120.5)
    modalities = ("text", "image", "audio", "video")
    card = replace(HOSTED, context_window=10_000_000, modalities=modalities, prices=prices, memory_gb=105.5)
    return render_cards([replace(card, name=NAME, profile=PROFILE)])


def recommended() -> RenderableType:
    one = replace(
        fitting("hf.co/some-organisation/very-long-name:70b-instruct-q4_K_M", installed="llama3.3:70b"),
        licence="Llama 3.2 Community",
        special="code",
        on_graphics=True,
        memory_gb=105.51,
    )
    return render_recommendation(recommendation(Preference.QUALITY, chosen=one))


def costs() -> RenderableType:
    row = replace(COSTS.rows[0], input_tokens=200_000_000, output_tokens=30_000_000, cost_usd=1234.5678, calls=120_000)
    group = {"user": "ann.middleton@example.com", "model": NAME, "run": "nightly-review-2026-05-04"}
    rows = (replace(row, group=group), replace(row, group={**group, "user": ""}, before_usd=0.0, change=None))
    return render_costs(CostOutput(report=replace(COSTS, rows=rows, budgets=budgets_of_many()), csv="", written=0))


def costs_in_time() -> RenderableType:
    rows = [replace(COSTS.rows[0], period="2026-05-04 12:00", group={"model": NAME})]
    return render_costs(CostOutput(report=replace(COSTS, rows=tuple(rows)), csv="", written=0))


def budgets_of_many() -> tuple[BudgetStatus, ...]:
    status = BUDGETS[0]
    budget: Budget = replace(status.budget, scope=Scope(user="ann", model=NAME), limit_usd=1234.5, hard=False)
    standing = replace(status.standings[0], spent_usd=1234.5678, refused=12_000)
    return (replace(status, budget=budget, standings=(standing,)), *BUDGETS)


def versions() -> RenderableType:
    version = replace(VERSION.version, url=URL, embedder=NAME, state=IndexState.BUILDING)
    building = replace(VERSION, version=version, chunks=1_234_567, wanted=2_345_678, embedded=1_000_000)
    return render_versions([VERSION, building])


def stats() -> RenderableType:
    plan = replace(SLOW.plan, where="principal:* and source:51e87af4 and not tag:draft", query="graceful shutdown " * 4)
    return render_stats(
        IndexStats(
            status=VERSION,
            held_chunks=1_234_567,
            held_vectors=1_234_567,
            undescribed=3,
            synced_at=AT,
            tuning=None,
            slow=(replace(SLOW, plan=plan),),
            latencies={"all": Latency(searches=1_234_567, p50=0.012, p95=0.03, p99=0.2)},
        )
    )


def sources() -> RenderableType:
    items = {state.value: 1_234_567 for state in ItemState}
    uri = "https://git.example.com/organisation/a-repository-with-a-long-name.git"
    source = replace(SOURCE, id="51e87af4cafe", kind=SourceKind.FOLDER, uri=uri, local_models_only=True)
    return render_sources([SourceStatus(source=source, items=items, last_sync=AT)], Path("/"))


def router() -> RenderableType:
    one = replace(ROUTER.models[1], model=NAME, latency=215.0, input_price=12.125, output_price=120.5, judged=1_234_567)
    return render_router(replace(ROUTER, models=(one, *ROUTER.models)))


def replay() -> RenderableType:
    policy = replace(
        REPLAY.policies[0], policy=f"always {NAME}", ips=ESTIMATE, normalised=ESTIMATE, doubly_robust=ESTIMATE,
        agreed=1_234_567, effective=123_456.0,
    )  # fmt: skip
    return render_replay(replace(REPLAY, policies=(policy, *REPLAY.policies)))


def checks() -> RenderableType:
    return render_model_checks([ModelCheck(name=NAME, problem=f"{NAME} cannot be reached", hint="start it")])


TABLES: Final[Mapping[str, tuple[Callable[[], RenderableType], str]]] = {
    "bench": (bench, "100.2 119.5 345.6 1,456.7 76,454.4 $1234.5678 105.5 no"),
    "cards": (cards, "10,000,000 12.125+ 120.5+ 105.5"),
    "profile": (lambda: render_profile(replace(PROFILE, model=NAME)), "0 of 2"),
    "recommendation": (recommended, "105.5\u00a0GB 12"),
    "costs": (costs, "120,000 200,000,000 30,000,000 $1,234.57 75% +25% new"),
    "costs in time": (costs_in_time, "2026-05-04 12:00 1,200 2,000,000 300,000 $12.50 75% +25%"),
    "budgets": (lambda: render_budgets(budgets_of_many()), "3f2a7777 $1,234.57 12,000 $0.25 $5.00 90%"),
    "versions": (versions, "1,234,567 2,345,678 1,000,000 building 40 30"),
    "stats": (stats, "1,234,567 0.01 0.03 0.20"),
    "sources": (sources, "51e87af4 folder 1,234,567 local"),
    "status": (lambda: render_status(make_status(), Path("/")), "encrypted"),
    "router": (router, "12.125, 120.5 1,234,567 -0.20 0.72 0.60"),
    "replay": (replay, "0.620 [0.550, 0.690] 1,234,567 123,456 70 60"),
    "checks": (checks, "? 0.00"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_whole_at_80_columns(name: str) -> None:
    render, whole = TABLES[name]
    printed = io.StringIO()
    Console(file=printed, width=80, markup=False, highlight=False).print(render(), crop=False)
    shown = printed.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert {*whole.split(" ")} <= {*shown.replace("\n", " ").split(" ")}

"""Facts, probes, benchmarks and recommendations of language models, for reading."""

from collections.abc import Sequence

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.text import Text

from intelforge.core.model_reports import (
    BenchReport,
    BenchSummary,
    FittingModel,
    ModelCard,
    ModelRecommendation,
    Profile,
    SimilarityCheck,
)
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.tables import moment, new_table
from intelforge.interfaces.cli.wording import duration

ROWS: int = 15
"""of models that fit, in a recommendation"""
BAR: int = 16
"""columns of the longest bar"""
UNKNOWN = "?"


def render_cards(cards: Sequence[ModelCard]) -> RenderableType:
    """A row for each model; what is not known is a question mark."""
    if not cards:
        return Text("No model is named in the settings, and none was probed. Try: intelforge models facts openai:gpt-5")
    table = new_table("Model", "Reads", "Tools", "JSON", numbers=("Context", "$/M in", "$/M out", "Memory"))
    for card in cards:
        prices = card.prices
        more = "+" if prices and prices.tiered else ""
        table.add_row(
            one_line(card.name),
            ", ".join(card.modalities) or UNKNOWN,
            _able(card.tools),
            _able(card.json_schema),
            f"{card.context_window:,}" if card.context_window else UNKNOWN,
            f"{_price(prices.input)}{more}" if prices else UNKNOWN,
            f"{_price(prices.output)}{more}" if prices else UNKNOWN,
            f"{card.memory_gb:.1f} GB" if card.memory_gb else "",
        )
    unknown = [one_line(card.name) for card in cards if not card.origins]
    notes = [Text(f"nothing is known of {', '.join(unknown)}")] if unknown else []
    probed = [render_profile(card.profile) for card in cards if card.profile]
    if any(card.prices and card.prices.tiered for card in cards):
        notes.append(Text("+ long prompts cost more", style="dim"))
    return Group(table, *notes, *(part for profile in probed for part in (Text(), profile)))


def render_profile(profile: Profile) -> RenderableType:
    """What was tried, and how fast it was."""
    table = new_table("Tried", "Passed", "Why not")
    for trial in profile.trials:
        style = "green" if trial.passed == trial.tries else "yellow" if trial.able else "red"
        passed = Text(f"{trial.passed} of {trial.tries}", style=style)
        table.add_row(trial.skill.value, passed, Text(one_line(trial.detail), overflow="fold"))
    speed = f"{profile.tokens_per_second:,.1f} tokens a second" if profile.tokens_per_second else "too short to tell"
    lines = [f"{one_line(profile.model)}, {moment(profile.at)}: {speed}, first one after "]
    lines[0] += f"{duration(profile.first_token_seconds)}; {profile.calls} calls, {_cost(profile.cost_usd)}."
    if profile.context_usable:
        lost = profile.context_lost
        until = f", lost at {lost:,}" if lost else ", the longest that was tried"
        lines.append(f"A fact was found in a prompt of {profile.context_usable:,} tokens{until}.")
    return Group(table, *map(Text, lines))


def render_recommendation(found: ModelRecommendation) -> RenderableType:
    """The choice, why, and the table behind it."""
    machine = found.machine
    graphics = f"; {', '.join(map(one_line, machine.graphics))}" if machine.graphics else "; no graphics card"
    here = (
        f"This machine: {machine.usable_gb:g} GB for a model, {machine.cores} cores, "
        f"memory at {machine.bandwidth_gb_per_second:g} GB/s{graphics}."
    )
    lines: list[RenderableType] = [Text(here, style="dim")]
    if found.chosen:
        how = "installed already" if found.chosen.installed else f"get it: ollama pull {found.chosen.model}"
        name = Text(found.chosen.model, style="bold")
        lines.append(Text.assemble(f"For {found.preference.value}: ", name, f" ({how})"))
    lines.append(Text(f"Why: {found.reason}." if found.chosen else f"Nothing: {found.reason}."))
    lines += [Text(f"Note: {one_line(note)}", style="yellow") for note in found.notes]
    fitting = [one for one in found.table if one.fits]
    if fitting:
        lines += [Text(), _fitting(fitting[:ROWS], found.chosen)]
    more, large = len(fitting) - ROWS, len(found.table) - len(fitting)
    rest = [f"{more} more fit"] if more > 0 else []
    rest += [f"{large} do not fit"] if large else []
    if rest:
        lines.append(Text(f"{', '.join(rest)}; all with their sources: --json", style="dim"))
    return Group(*lines)


def _fitting(models: Sequence[FittingModel], chosen: FittingModel | None) -> RenderableType:
    table = new_table("Model", numbers=("Weights", "Context", "In all", "Tokens/s"))
    table.add_column("Licence", overflow="fold")
    for one in models:
        remarks = [one.special and f"for {one.special}", "on the graphics card" if one.on_graphics else ""]
        remark = ", ".join(filter(None, [*remarks, "installed" if one.installed else ""]))
        table.add_row(
            Text.assemble((one.model, "bold" if one == chosen else ""), (f"\n{remark}" if remark else "", "dim")),
            *(f"{size:.1f}\u00a0GB" for size in (one.weights_gb, one.cache_gb, one.memory_gb)),
            f"{one.tokens_per_second:.3g}" if one.tokens_per_second else UNKNOWN,
            one.licence,
        )
    return table


def render_bench(report: BenchReport) -> RenderableType:
    """How long each model took; below, how fast it writes and what it takes for that."""
    if not report.models:
        return Text("Nothing was measured.")
    times = new_table("Seconds", numbers=("First token", "p95", "Streamed", "p95", "Whole"))
    for one in report.models:
        streamed = (one.first_token_p50, one.first_token_p95, one.total_p50, one.total_p95)
        times.add_row(one_line(one.model), *map(_seconds, (*streamed, one.batch_total_p50)))
    failures = [
        Text(f"{one_line(one.model)}: {one.failed} of {one.calls} calls failed: {one_line(one.error)}", style="red")
        for one in report.models
        if one.failed
    ]
    return Group(times, Text(), _writing(report.models), *failures)


def _writing(models: Sequence[BenchSummary]) -> RenderableType:
    table = new_table("Tokens a second", "", numbers=("", "Context", "Memory", "Cost"))
    most = max((one.tokens_per_second_p50 or 0.0 for one in models), default=0.0)
    for one in models:
        value = one.tokens_per_second_p50 or 0.0
        table.add_row(
            one_line(one.model),
            Bar(most, 0, value, width=BAR) if value else "",
            f"{value:,.1f}" if value else "",
            f"{one.context_use_max:.1%}" if one.context_use_max is not None else UNKNOWN,
            f"{one.memory_gb:.1f} GB" if one.memory_gb else "",
            _cost(one.cost_usd, unknown=UNKNOWN),
        )
    return table


def render_similarity(found: SimilarityCheck) -> RenderableType:
    """How often questions would be taken for others, at each threshold."""
    table = new_table("Threshold", "Wrong", "By vectors alone", "Repeated ones found")
    for row in found.rows:
        table.add_row(
            Text(f"{row.threshold:.2f}", style="bold" if row.threshold == found.threshold else ""),
            f"{row.false_hit_rate:.2%}",
            f"{row.false_hit_rate_by_vector:.2%}",
            "" if row.hit_rate is None else f"{row.hit_rate:.1%}",
        )
    lines = [f"{found.questions:,} questions, compared by {one_line(found.embedder)}."]
    if not found.threshold:
        lines.append(
            "Similar questions are not looked up now. To change that: intelforge config set cache_similarity 0.95"
        )
    lines += [f"Wrong: {one_line(first)!r} for {one_line(second)!r}" for first, second in found.examples]
    return Group(table, *(Text(line, overflow="fold") for line in lines))


def _able(able: bool | None) -> Text:
    return Text(UNKNOWN) if able is None else Text("yes", style="green") if able else Text("no", style="yellow")


def _price(price: float | None) -> str:
    return UNKNOWN if price is None else f"{price:g}"


def _cost(cost: float | None, *, unknown: str = "price not known") -> str:
    return unknown if cost is None else f"${cost:.4f}" if cost else "no cost"


def _seconds(seconds: float | None) -> str:
    """To two digits after the point below ten seconds, to one above."""
    return "" if seconds is None else f"{seconds:,.2f}" if seconds < 10 else f"{seconds:,.1f}"

"""Sources, states, settings, models and checks as tables."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from intelforge.core.index_reports import VersionStatus
from intelforge.core.model_reports import ModelCheck, ModelInfo
from intelforge.core.reports import Check, SettingValue, SourceStatus, Status, SyncReport
from intelforge.core.values import Failure, ItemState, Source
from intelforge.interfaces.cli.sanitize import one_line, place
from intelforge.interfaces.cli.wording import amount, counts, duration

SHOWN_FAILURES = 20
SHORT_ID = 8
"""characters of a source's id; commands take any beginning of it"""
_WHOLE = {"Source", "Kind", "State", "Setting", "Budget"}
"""columns of short words that commands take: never folded"""


def render_added(sources: Sequence[Source], current: Path) -> RenderableType:
    limited = any(source.local_models_only for source in sources)
    table = new_table("Source", "Kind", "Location", *(["Models"] if limited else []))
    for source in sources:
        location = Text(place(source.uri, current), overflow="fold")
        table.add_row(source.id[:SHORT_ID], source.kind.value, location, *([_models(source)] if limited else []))
    return table


def _models(source: Source) -> str:
    """Which models may be given what it holds."""
    return "local" if source.local_models_only else "any"


def render_sources(sources: Sequence[SourceStatus], current: Path) -> RenderableType:
    """A row for each source: its items by state and its last complete sync."""
    if not sources:
        return Text("No sources yet. Add one: intelforge add PATH_OR_URL")
    table = new_table("Source", "Kind", "Location")
    if limited := any(status.source.local_models_only for status in sources):
        table.add_column("Models", no_wrap=True)
    table.add_column("Items", overflow="fold", min_width=len("12,000 pending,"))
    table.add_column("Last sync", overflow="fold", min_width=len("2026-01-31"))
    for status in sources:
        models = [_models(status.source)] if limited else []
        items = counts({state.value: status.items.get(state, 0) for state in ItemState}) or "none yet"
        location = Text(place(status.source.uri, current), overflow="fold")
        named = (status.source.id[:SHORT_ID], status.source.kind.value, location)
        table.add_row(*named, *models, items, moment(status.last_sync))
    failed = [
        Text(f"{one_line(status.source.uri)}: {one_line(_without(status.source.uri, status.error))}", style="red")
        for status in sources
        if status.error
    ]
    return Group(table, *failed)


def _without(uri: str, error: str) -> str:
    """The error without the name of what it is about, which stands before it."""
    return error.removeprefix(f"{uri}: ").removeprefix(f"{uri} ")


def render_sync(report: SyncReport) -> RenderableType:
    """One line for what was done, one for each source that failed as a whole."""
    changes = {
        name: getattr(report, name)
        for name in ("added", "changed", "renamed", "removed", "unchanged", "skipped", "failed")
    }
    parts = [counts(changes) or ("nothing to do" if report.complete else "nothing finished yet")]
    parts += [f"searchable in {duration(report.searchable_seconds)}"] if report.complete else []
    embedded = f", {amount(report.chunks_embedded, 'chunks')} embedded" if report.chunks_embedded else ""
    lines = [Text(f"{'; '.join(parts)}{embedded}, {duration(report.seconds)} in all.")]
    lines += [Text(f"failed: {one_line(error)}", style="red") for error in report.errors]
    if report.failed:
        lines.append(Text("Reasons: intelforge status. Try again: intelforge sync --retry-failed", style="dim"))
    return Group(*lines)


def render_status(status: Status, current: Path) -> RenderableType:
    """Sources, documents by state, what is embedded, and what failed with the reason."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("Workspace", Text(one_line(status.path)))
    facts.add_row("Items", counts(status.items) or "none yet")
    facts.add_row("Documents", f"{status.documents:,} in {amount(status.chunks, 'chunks')}")
    facts.add_row("Embedded", Text(_embedded(status)))
    if status.building:
        facts.add_row("Building", Text(_building(status.building)))
    for line in status.running:
        facts.add_row("Running", Text(one_line(line)))
    notes = [Text(f"Note: {one_line(note)}", style="yellow") for note in status.notes]
    return Group(facts, Text(), render_sources(status.sources, current), *notes, *_failures(status.failures))


def _embedded(status: Status) -> str:
    if status.embedder.startswith("none:"):
        return "no embedder; search is by words alone"
    share = f" ({status.embedded / status.chunks:.0%})" if status.chunks else ""
    line = f"{status.embedded:,} of {amount(status.chunks, 'chunks')}{share} by {one_line(status.embedder)}"
    if status.embedded >= status.chunks:
        return line
    left = f"; {duration(status.embedding_eta)} of work left" if status.embedding_eta else ""
    return f"{line}{left}"


def _building(status: VersionStatus) -> str:
    version = status.version
    done = f"{status.embedded:,} of {amount(status.wanted, 'chunks')}"
    model = one_line(version.model or "no embedder")
    return f"index version {version.number}: {done} by {model} at {one_line(version.url)}"


def _failures(failures: Sequence[Failure]) -> list[RenderableType]:
    if not failures:
        return []
    table = new_table("Item", "State", "Reason")
    for failure in failures[:SHOWN_FAILURES]:
        style = "red" if failure.state is ItemState.FAILED else "dim"
        uri = Text(one_line(failure.uri), overflow="fold")
        table.add_row(uri, Text(failure.state.value, style=style), Text(one_line(failure.reason), overflow="fold"))
    more = len(failures) - SHOWN_FAILURES
    return [Text(), table, *([Text(f"and {more:,} more: --json", style="dim")] if more > 0 else [])]


def render_settings(settings: Sequence[SettingValue], current: Path) -> RenderableType:
    table = new_table("Setting", "Value", "From")
    for setting in settings:
        style = "dim" if setting.origin == "default" else "bold"
        value = Text(one_line(setting.value), style=style, overflow="fold")
        table.add_row(setting.name, value, Text(place(setting.origin, current), style="dim", overflow="fold"))
    return table


def render_meanings(settings: Sequence[SettingValue], current: Path) -> RenderableType:
    """Each setting with what it means and what it is unless it is set."""
    parts: list[RenderableType] = []
    for setting in settings:
        value, default = one_line(setting.value), one_line(setting.default)
        facts = f"{one_line(setting.description)} Default: {default or 'none'}."
        origin = "" if setting.origin == "default" else f"  from {place(setting.origin, current)}"
        parts += [Text.assemble((f"{setting.name} = {value}", "bold"), (origin, "dim")), Text(facts), Text()]
    return Group(*parts[:-1])


def render_models(models: Sequence[ModelInfo]) -> RenderableType:
    table = new_table("Model", "Here", numbers=("Size", "Dimensions", "Tokens"))
    table.add_column("Licence", overflow="fold")
    for model in models:
        here = Text("yes", style="green") if model.present else Text("no", style="yellow")
        size = amount(model.size_bytes, "bytes") if model.size_bytes else ""
        numbers = (f"{model.dimensions:,}", f"{model.max_tokens:,}")
        table.add_row(one_line(model.name), here, size, *numbers, one_line(model.licence))
    paths = [f"{one_line(model.name)}: {one_line(model.path)}" for model in models if model.path]
    return Group(table, *(Text(path, style="dim", no_wrap=True, overflow="ignore") for path in paths))


def render_model_checks(checks: Sequence[ModelCheck]) -> RenderableType:
    """A row for each language model; below the table, what is wrong and how to mend it."""
    if not checks:
        return Text("No language model. Name one: intelforge config set llm ollama:MODEL")
    table = new_table("Model", "Reached", "Key taken", "There", "Tools", "Schemas", "Images", "Time")
    for check in checks:
        found = (check.reachable, check.authorised, check.present, check.tools, check.json_schema, check.images)
        table.add_row(one_line(check.name), *(_yes_or_no(value) for value in found), duration(check.seconds))
    wrong = [
        Text(f"{one_line(check.problem)}; {one_line(check.hint)}", style="red") for check in checks if not check.ok
    ]
    return Group(table, *wrong)


def _yes_or_no(value: bool | None) -> Text:
    if value is None:
        return Text("?", style="dim")
    return Text("yes", style="green") if value else Text("no", style="yellow")


def render_checks(checks: Sequence[Check]) -> RenderableType:
    """A line for each check; below one that failed, the fix."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for check in checks:
        mark, style = ("ok", "green") if check.ok else ("FAIL", "bold red") if check.required else ("note", "yellow")
        table.add_row(Text(mark, style=style), Text(one_line(check.name)), Text(one_line(check.detail)))
        if not check.ok and check.fix:
            table.add_row("", "", Text.assemble(("fix: ", "bold"), one_line(check.fix)))
    return table


def new_table(*headers: str, numbers: Sequence[str] = ()) -> Table:
    """A plain table. Where there is not room for all, names and sentences fold; half a number would read as another.

    `numbers` are further columns, after `headers`.
    """
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold", no_wrap=header in _WHOLE, min_width=len(header))
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    return table


def moment(at: datetime | None) -> str:
    """`2026-01-31 12:00`, in the reader's zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else "never"

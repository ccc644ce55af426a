"""Versions, checks, measurements and transfers of the index, for reading."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from intelforge.core.index_reports import (
    BuildReport,
    IndexStats,
    Latency,
    SlowSearch,
    Transfer,
    Tuning,
    Verification,
    VersionStatus,
)
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.tables import moment, new_table
from intelforge.interfaces.cli.wording import amount, counts, duration


def render_versions(versions: Sequence[VersionStatus]) -> RenderableType:
    """A row for each: its state, its store with whose vectors, and how far it has come."""
    found = new_table("Version", "State", "Store, embedder", numbers=("Chunks", "Embedded"))
    found.add_column("Since", overflow="fold", min_width=len("2026-01-31"))
    for status in versions:
        version = status.version
        style = "bold" if version.state.value == "live" else ""
        vectors = one_line(version.embedder) if version.model else "no vectors yet"
        found.add_row(
            str(version.number),
            Text(version.state.value, style=style),
            Text.assemble(one_line(version.url), (f"\n{vectors}", "dim"), overflow="fold"),
            f"{status.chunks:,}" if status.chunks == status.wanted else f"{status.chunks:,}\nof {status.wanted:,}",
            f"{status.embedded:,}",
            moment(version.live_at or version.created_at),
        )
    return found


def render_built(done: BuildReport) -> RenderableType:
    version, status = done.status.version, done.status
    if not done.complete:
        progress = f"{status.embedded:,} of {amount(status.wanted, 'chunks')} have a vector"
        return Text(f"Version {version.number} is not complete yet: {progress}. The old one answers meanwhile.")
    compared = f", {amount(done.compared, 'vectors')} held against their originals" if done.compared else ""
    return Text(
        f"Version {version.number} answers now: {amount(status.chunks, 'chunks')}, {status.embedded:,} with vectors"
        f"{compared}, at {one_line(version.url)}.\nBack to the one before: intelforge index rollback"
    )


def render_verification(found: Verification) -> RenderableType:
    if found.agrees:
        return Text(f"The index agrees with the database: {found.indexed:,} of {amount(found.chunks, 'chunks')}.")
    what = counts(
        {
            "missing": found.missing,
            "superfluous": found.superfluous,
            "without their vectors": found.without_vectors,
        }
    )
    done = "Mended." if found.repaired else "Nothing was changed; mend it with: intelforge index verify"
    rest = "\nVectors are made by: intelforge sync" if found.repaired and found.embedded < found.indexed else ""
    return Text(f"Documents that differ: {what}. {done}{rest}")


def render_transfer(done: Transfer, *, into_file: bool, dry_run: bool = False) -> RenderableType:
    path = one_line(done.path)
    if into_file:
        return Text(f"Wrote {amount(done.chunks, 'chunks')}, {done.vectors:,} with vectors, to {path}.")
    left = counts(
        {
            "have a vector already": done.present,
            "are of texts that are not here": done.unknown,
            "have a vector that is damaged": done.refused,
        }
    )
    rest = f" Of the other rows {left}." if left else ""
    return Text(f"{'Would take' if dry_run else 'Took'} {amount(done.vectors, 'vectors')} from {path}.{rest}")


def render_tuning(found: Tuning, *, applied: bool) -> RenderableType:
    """What was tried, what was chosen, and why."""
    lines: list[RenderableType] = []
    if found.candidates:
        tried = new_table("Tried", "Recall@10", "Milliseconds")
        for one in found.candidates:
            how = f"{one.kind}, {amount(one.probes, 'probes')}" if one.probes else one.kind
            how += f", refined {one.refine} times" if one.refine else ""
            tried.add_row(how, f"{one.recall:.3f}", f"{one.milliseconds:.1f}")
        lines += [tried, Text()]
    said = "" if applied or not found.candidates else " Nothing was changed."
    return Group(*lines, Text(f"{one_line(found.reason).rstrip('.')}.{said}"))


def render_stats(found: IndexStats) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(found).items():
        facts.add_row(name, Text(value))
    tables: list[RenderableType] = [facts]
    if found.latencies:
        tables += [Text(), _latencies(found.latencies)]
    if found.slow:
        tables += [Text(), _slow(found.slow)]
    return Group(*tables)


def _latencies(latencies: Mapping[str, Latency]) -> RenderableType:
    times = new_table("Search", "p50", "p95", "p99", "Count")
    for name, latency in latencies.items():
        numbers = (latency.p50, latency.p95, latency.p99)
        times.add_row(one_line(name), *(duration(number) for number in numbers), f"{latency.searches:,}")
    return times


def _slow(searches: Sequence[SlowSearch]) -> RenderableType:
    """The question, what took how long, and what it went through."""
    table = new_table("Slow", "Took", "Parts", "Query", "Filter")
    for one in searches:
        parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in one.parts.items() if seconds >= 0.001)
        where, query = one_line(one.plan.where), one_line(one.plan.query)
        table.add_row(moment(one.at), duration(one.seconds), parts, query, where)
    return table


def _facts(found: IndexStats) -> Mapping[str, str]:
    version = found.status.version
    share = found.status.embedded / found.status.wanted if found.status.wanted else 1.0
    facts = {
        "Version": f"{version.number}, {one_line(version.url)}",
        "Vectors of": one_line(version.model or "none yet"),
        "Chunks": f"{found.status.chunks:,} of {found.status.wanted:,} in the index",
        "Embedded": f"{found.status.embedded:,} ({share:.0%})",
        "Held": f"{found.held_chunks:,} chunks, {found.held_vectors:,} vectors",
        "Fresh": _freshness(found),
    }
    if found.tuning:
        facts["Vector search"] = one_line(found.tuning.reason)
    return facts


def _freshness(found: IndexStats) -> str:
    behind = found.status.wanted - found.status.chunks
    waiting = [f"{amount(behind, 'chunks')} wait"] if behind else []
    waiting += [f"{amount(found.undescribed, 'documents')} have old labels"] if found.undescribed else []
    synced = f"last complete sync {moment(found.synced_at)}"
    return f"{', '.join(waiting) or 'nothing waits'}; {synced}"

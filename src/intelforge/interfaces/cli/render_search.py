"""What a search found, as it is read in a terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from intelforge.core.search import SearchPlan, SearchResult
from intelforge.core.values import Hit, PartScore
from intelforge.interfaces.cli.render import QUOTE_LINES, Indented, excerpt
from intelforge.interfaces.cli.sanitize import one_line, place
from intelforge.interfaces.cli.wording import amount, duration

FACET_VALUES = 8
"""of one field; `--json` gives them all"""
_OPEN, _SHUT = "\ufdd0", "\ufdd1"
"""around a matched word while its text is cut to size: no character that a text may hold"""
_NAMES = {"lexical": "words", "vector": "meaning", "rerank": "closer look", "likeness": "like a hit above"}


def render_search(result: SearchResult, current: Path) -> RenderableType:
    """Notes, then each hit with its rank, place, heading and a snippet with what matched, then facets and the rest."""
    parts: list[RenderableType] = [Text(f"Note: {one_line(note)}", style="yellow") for note in result.notes]
    if result.plan:
        parts += [_plan(result.plan, result), Text()]
    parts += [part for rank, hit in enumerate(result.hits, result.offset + 1) for part in _hit(rank, hit, current)]
    if not result.hits:
        parts.append(Text("Nothing found." if not result.offset else "No more hits."))
    parts += _facets(result)
    if result.cursor:
        parts.append(Text(f"More: the same command with --cursor {result.cursor}", style="dim", overflow="fold"))
    return Group(*parts)


def around(text: str, highlights: Sequence[tuple[int, int]]) -> str:
    """The lines of `text` from just before the one with the most highlights, which are marked."""
    marked = text.replace(_OPEN, "").replace(_SHUT, "") if _OPEN in text or _SHUT in text else text
    if marked == text:
        for start, end in reversed(highlights):
            marked = f"{marked[:start]}{_OPEN}{marked[start:end]}{_SHUT}{marked[end:]}"
    lines = marked.splitlines()
    found = [line.count(_OPEN) for line in lines]
    best = found.index(max(found)) if found else 0
    return "\n".join(lines[max(0, min(best - 1, len(lines) - QUOTE_LINES)) :])


def _hit(rank: int, hit: Hit, current: Path) -> Iterator[RenderableType]:
    where = f"{place(hit.location, current)}:{hit.first_line}-{hit.last_line}"
    yield Text.assemble(
        (f"{rank:>2}. ", "bold"), (where, "cyan"), (f"  {hit.score:.3f}", "dim"), no_wrap=True, overflow="ignore"
    )
    if hit.chunk.heading:
        yield Indented(Text(one_line(hit.chunk.heading), style="bold"))
    yield Indented(_marked(excerpt(around(hit.chunk.text, hit.highlights))))
    if hit.duplicates:
        also = ", ".join(place(location, current) for location in hit.duplicates[:3])
        more = f" and {len(hit.duplicates) - 3} more" if len(hit.duplicates) > 3 else ""
        yield Indented(Text(f"also in {also}{more}", style="dim"))
    if hit.explanation:
        yield Indented(Text("\n".join(map(_part, hit.explanation)), style="dim"))
    yield Text()


def _marked(snippet: str) -> Text:
    """The snippet with what stands between the marks in bold."""
    text = Text()
    first, *rest = snippet.split(_OPEN)
    text.append(first.replace(_SHUT, ""))
    for piece in rest:
        match, _, after = piece.partition(_SHUT)
        text.append(match, style="bold yellow").append(after.replace(_SHUT, ""))
    return text


def _part(part: PartScore) -> str:
    """`words         12.310  scaled 0.87 × 0.30 = 0.261`."""
    score = "not found" if part.score is None else f"{part.score:.3f}"
    given = part.scaled * part.weight
    return (
        f"{_NAMES.get(part.part, part.part):<17}{score:>10}  scaled {part.scaled:.2f} × {part.weight:.2f} = {given:.3f}"
    )


def _plan(plan: SearchPlan, result: SearchResult) -> RenderableType:
    candidates = ", ".join(f"{amount(number, 'chunks')} by {_NAMES[part]}" for part, number in plan.candidates.items())
    spent = ", ".join(f"{part} {duration(seconds)}" for part, seconds in result.seconds.items())
    lines = (
        ("Searched for", plan.query or "what is like the document"),
        ("Within", plan.where),
        ("In", plan.store),
        ("Candidates", candidates),
        ("Weights", f"{plan.vector_weight:.2f} meaning, {1 - plan.vector_weight:.2f} words: {plan.weighed}"),
        ("Time", spent),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for name, value in lines:
        table.add_row(name, Text(one_line(value)))
    return table


def _facets(result: SearchResult) -> Iterator[Text]:
    for name, counts in result.facets.items():
        shown = ", ".join(f"{one_line(value)} {number:,}" for value, number in list(counts.items())[:FACET_VALUES])
        more = f" and {len(counts) - FACET_VALUES} more" if len(counts) > FACET_VALUES else ""
        yield Text.assemble((f"{name + ':':<8}", "bold"), f"{shown}{more}")

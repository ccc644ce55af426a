"""Answers and documents as they are read in a terminal."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from intelforge.core.reports import Shown
from intelforge.core.values import Answer, Citation, Passage, Verdict
from intelforge.interfaces.cli.sanitize import clean, one_line, place
from intelforge.interfaces.cli.wording import amount, duration

QUOTE_LINES = 6
"""of a citation or snippet; `--json` and `show` give the whole"""
_DOUBTS = {Verdict.PARTLY: " (partly supported)", Verdict.UNSUPPORTED: " (unsupported)"}


def render_answer(answer: Answer, current: Path) -> RenderableType:
    """Sentences with numbered citations, then what each citation quotes, then notes and timing."""
    body = _sentences(answer) if answer.found else _no_evidence(answer, current)
    parts: list[RenderableType] = [*body, *_citations(answer, current)]
    parts += [Text(f"Note: {one_line(note)}", style="yellow") for note in answer.notes]
    return Group(*parts, *_routed(answer), Text(_timing(answer), style="dim"))


def render_shown(shown: Shown, current: Path) -> RenderableType:
    """A document or its span, below where it is from."""
    document = shown.document
    head = Text()
    if document.title:
        head.append(one_line(document.title), style="bold").append("\n")
    for location in shown.locations:
        head.append(place(location, current), style="cyan").append("\n")
    if not shown.locations:
        head.append("superseded or removed; kept for its citations\n", style="yellow")
    about = [document.id, document.media_type, document.language, amount(len(document.text), "characters")]
    if len(shown.versions) > 1:
        about.append(amount(len(shown.versions), "versions"))
    if shown.span:
        about.append(f"span {shown.span[0]}:{shown.span[1]}")
    head.append(one_line(" · ".join(part for part in about if part)), style="dim").append("\n")
    return Group(head, Text(clean(shown_text(shown)), no_wrap=True, overflow="ignore"))


def shown_text(shown: Shown) -> str:
    """The characters asked for."""
    return shown.document.text[slice(*shown.span)] if shown.span else shown.document.text


def _sentences(answer: Answer) -> Iterator[RenderableType]:
    text, numbers = Text(), _numbers(answer)
    for sentence in answer.sentences:
        marks = dict.fromkeys(numbers[_span(citation)] for citation in sentence.citations)
        text.append(" " if text else "").append(one_line(sentence.text))
        text.append("".join(f"\u00a0[{number}]" for number in marks), style="bold cyan")
        text.append(_DOUBTS.get(sentence.verdict, ""), style="yellow")
    yield text
    yield Text()


def _span(citation: Citation) -> tuple[str, int, int]:
    return citation.document_id, citation.start, citation.end


def _numbers(answer: Answer) -> dict[tuple[str, int, int], int]:
    """A number for each cited place, in the order in which a reader meets them."""
    places = dict.fromkeys(_span(citation) for sentence in answer.sentences for citation in sentence.citations)
    return {place: number for number, place in enumerate(places, 1)}


def _no_evidence(answer: Answer, current: Path) -> Iterator[RenderableType]:
    yield Text("No evidence found.", style="bold")
    if answer.passages:
        yield Text("The nearest passages:")
    yield Text()
    for passage in answer.passages[:3]:
        yield from _quoted(passage.number, passage, passage.text, current)


def _citations(answer: Answer, current: Path) -> Iterator[RenderableType]:
    cited = {_span(citation): citation for sentence in answer.sentences for citation in sentence.citations}
    for number, citation in enumerate(cited.values(), 1):
        yield from _quoted(number, citation, citation.quote, current)


def _quoted(number: int, at: Citation | Passage, quote: str, current: Path) -> Iterator[RenderableType]:
    where = f"{place(at.location, current)}:{at.first_line}-{at.last_line}"
    yield Text.assemble((f"[{number}] ", "bold cyan"), (where, "cyan"), no_wrap=True, overflow="ignore")
    yield Indented(Text(excerpt(quote), style="dim"))
    yield Text()


def _routed(answer: Answer) -> Iterator[RenderableType]:
    """Why the router chose the model, and how to say that it did well or badly."""
    if answer.decision:
        yield Text(f"Chosen: {one_line(str(answer.decision['reason']))}", style="dim")
        yield Text(f"How good was it, from 0 to 1? intelforge router rate {one_line(answer.call)} 0.8", style="dim")


def _timing(answer: Answer) -> str:
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in answer.seconds.items())
    cost = f"${answer.cost_usd:.4f}" if answer.cost_usd else ""
    total = duration(sum(answer.seconds.values())) + (f" ({parts})" if parts else "")
    return " · ".join(part for part in (total, one_line(answer.model), cost) if part)


def excerpt(text: str) -> str:
    """At most QUOTE_LINES lines, cleaned, with the indentation they have among themselves."""
    lines = textwrap.dedent(clean(text.replace("\r\n", "\n")).expandtabs(4)).strip("\n").splitlines()
    kept = [line.rstrip() if len(line) <= 400 else f"{line[:399]}…" for line in _aligned(lines[:QUOTE_LINES])]
    return "\n".join([*kept, "…"] if len(lines) > QUOTE_LINES else kept)


def _aligned(lines: list[str]) -> list[str]:
    """A quote begins within its line, so the lines below it stand too far in: by one step at most, below an opening."""
    if len(lines) < 2 or lines[0][:1].isspace():
        return lines
    step = "    " if lines[0].rstrip().endswith((":", "(", "[", "{")) else ""
    rest = textwrap.dedent("\n".join(lines[1:])).split("\n")
    return [lines[0], *(f"{step}{line}" for line in rest)]


@dataclass(frozen=True, slots=True)
class Indented:
    """Something four columns in, without spaces at the ends of its lines."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        narrower = options.update(width=max(options.max_width - 4, 1))
        for line in console.render_lines(self.inner, narrower, pad=False):
            yield Segment("    ")
            yield from line
            yield Segment.line()

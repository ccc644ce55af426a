"""Benchmarks of models as files: CSV of every call, and a picture of the models side by side."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields
from html import escape
from typing import Final

from intelforge.core.model_reports import BenchCall, BenchSummary

WIDTH: Final = 760
LEFT: Final = 240
"""for the names"""
RIGHT: Final = 90
"""for the numbers"""
ROW: Final = 26
HEAD: Final = 44
PANELS: Final[tuple[tuple[str, str, Callable[[BenchSummary], float | None]], ...]] = (
    ("First token, median seconds (less is better)", "s", lambda one: one.first_token_p50),
    ("Whole reply streamed, median seconds (less is better)", "s", lambda one: one.total_p50),
    ("Tokens a second while writing, median (more is better)", "/s", lambda one: one.tokens_per_second_p50),
)


def as_csv(calls: Sequence[BenchCall]) -> str:
    """A line for each call, with a heading."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(BenchCall)])
    writer.writerows(["" if value is None else value for value in astuple(call)] for call in calls)
    return text.getvalue()


def as_svg(models: Sequence[BenchSummary]) -> str:
    """Bars for each model: first token, whole reply, and tokens a second."""
    height = len(PANELS) * (HEAD + ROW * len(models)) + 16
    panels, top = [], 8
    for title, unit, value in PANELS:
        panels.append(_panel(title, unit, [(one.model, value(one)) for one in models], top))
        top += HEAD + ROW * len(models)
    style = "text{font:13px system-ui,sans-serif;fill:#222}.t{font-weight:600}rect{fill:#3b76b6}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
        f'<style>{style}</style><rect width="{WIDTH}" height="{height}" style="fill:#fff"/>{"".join(panels)}</svg>\n'
    )


def _panel(title: str, unit: str, bars: Sequence[tuple[str, float | None]], top: int) -> str:
    most = max((value for _, value in bars if value), default=1.0)
    lines = [f'<text class="t" x="8" y="{top + 26}">{escape(title)}</text>']
    for number, (name, value) in enumerate(bars):
        middle = top + HEAD + ROW * number
        length = (value or 0.0) / most * (WIDTH - LEFT - RIGHT)
        said = "failed" if value is None else f"{value:.3g} {unit}"
        shown = name if len(name) <= 34 else f"{name[:33]}…"
        lines.append(
            f'<text x="{LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(shown)}</text>'
            f'<rect x="{LEFT}" y="{middle - 8}" width="{length:.1f}" height="16"/>'
            f'<text x="{LEFT + length + 6:.1f}" y="{middle + 5}">{said}</text>'
        )
    return "".join(lines)

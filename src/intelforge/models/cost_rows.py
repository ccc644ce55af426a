"""The rows of a cost report, made of sums over the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from intelforge.core.cost_report import CostQuery, CostRow, Step
from intelforge.core.costs import Period, window_of
from intelforge.core.errors import InvalidInputError
from intelforge.core.money import usd_of
from intelforge.store.cost_sums import MONDAY, WEEK_DAYS, Part, Sum

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_MONTHS: Final = 12


def parts_of(query: CostQuery, now: datetime) -> tuple[Part, Part]:
    """The time of a query, and the equally long one before it. Raises InvalidInputError when it ends before it begins.

    This month so far is held against as much of the month before.
    """
    month = window_of(Period.MONTH, now).start or now
    since, until = max(query.since or month, EPOCH), query.until or now
    if since >= until:
        raise InvalidInputError(
            f"there is no time from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC", hint="begin earlier"
        )
    start = since - min(until - since, since - EPOCH)
    if query.since is None:
        start = (since - timedelta(days=1)).replace(day=1)
    part = Part(since=since, until=until, only=query.only)
    return part, replace(part, since=start, until=min(start + (until - since), since))


def total_row(sums: Sequence[Sum], *, before: Sequence[Sum]) -> CostRow:
    """One row of all."""
    return _row(sums, {}, total=_charged(sums), before=_charged(before))


def rows_by_name(query: CostQuery, sums: Sequence[Sum], before: Sequence[Sum]) -> list[CostRow]:
    """A row for each combination of names, that which cost most first."""
    names = [dimension.value for dimension in query.by]
    total = _charged(sums)
    earlier = {one.names: one.charged_nano for one in before}
    rows = [
        _row([one], dict(zip(names, one.names, strict=True)), total=total, before=earlier.get(one.names, 0))
        for one in sums
    ]
    return sorted(rows, key=lambda row: (-row.cost_usd, -row.calls, *row.group.values()))


def rows_by_step(query: CostQuery, step: Step, sums: Sequence[Sum]) -> list[CostRow]:
    """A row for each step in time and combination of names, the earliest first, each held against the step before."""
    names = [dimension.value for dimension in query.by]
    total = _charged(sums)
    grouped: dict[tuple[int, tuple[str, ...]], list[Sum]] = {}
    for one in sums:
        grouped.setdefault((_number(step, one.step), one.names), []).append(one)
    first = min((number for number, _ in grouped), default=0)
    rows = []
    for number, of in sorted(grouped, key=lambda key: (key[0], -_charged(grouped[key]))):
        before = _charged(grouped.get((number - 1, of), ())) if number > first else None
        row = _row(grouped[number, of], dict(zip(names, of, strict=True)), total=total, before=before)
        rows.append(replace(row, period=_name(step, number)))
    return rows


def day_costs(sums: Iterable[Sum], *, first: datetime, days: int) -> list[float]:
    """The cost of each day in US dollars, from the first on."""
    start = (first - EPOCH).days
    costs = [0] * days
    for one in sums:
        if 0 <= one.step - start < days:
            costs[one.step - start] += one.charged_nano
    return [usd_of(cost) for cost in costs]


def _row(sums: Sequence[Sum], group: Mapping[str, str], *, total: int, before: int | None) -> CostRow:
    charged = _charged(sums)
    return CostRow(
        group=group,
        calls=sum(one.calls for one in sums),
        failed=sum(one.failed for one in sums),
        input_tokens=sum(one.tokens["input_tokens"] for one in sums),
        output_tokens=sum(one.tokens["output_tokens"] for one in sums),
        cache_read_tokens=sum(one.tokens["cache_read_tokens"] for one in sums),
        cache_write_tokens=sum(one.tokens["cache_write_tokens"] for one in sums),
        thinking_tokens=sum(one.tokens["thinking_tokens"] for one in sums),
        cost_usd=usd_of(charged),
        share=charged / total if total else 0.0,
        before_usd=None if before is None else usd_of(before),
        change=charged / before - 1.0 if before else None,
    )


def _charged(sums: Iterable[Sum]) -> int:
    return sum(one.charged_nano for one in sums)


def _number(step: Step, counted: int) -> int:
    """Steps since the epoch; months are counted in days so far."""
    if step is not Step.MONTH:
        return counted
    day = EPOCH + timedelta(days=counted)
    return day.year * YEAR_MONTHS + day.month - 1


def _name(step: Step, number: int) -> str:
    if step is Step.MONTH:
        return f"{number // YEAR_MONTHS:04}-{number % YEAR_MONTHS + 1:02}"
    if step is Step.WEEK:
        year, week, _ = (EPOCH + timedelta(days=number * WEEK_DAYS - MONDAY)).isocalendar()
        return f"{year}-W{week:02}"
    if step is Step.DAY:
        return f"{EPOCH + timedelta(days=number):%Y-%m-%d}"
    return f"{EPOCH + timedelta(hours=number):%Y-%m-%dT%H}"

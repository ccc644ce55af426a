"""The rows of a cost report."""

from datetime import UTC, datetime, timedelta

import pytest

from intelforge.core.cost_report import CostQuery, Dimension, Step
from intelforge.core.errors import InvalidInputError
from intelforge.models.cost_rows import EPOCH, parts_of, rows_by_step
from intelforge.store.cost_sums import Sum

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
TOKENS = dict.fromkeys(
    ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "thinking_tokens"), 1
)


def sum_of(step: int, nano: int, *names: str) -> Sum:
    return Sum(names=names, step=step, calls=1, failed=0, tokens=TOKENS, charged_nano=nano)


def test_this_month_is_held_against_as_much_of_the_month_before() -> None:
    part, before = parts_of(CostQuery(), datetime(2026, 4, 11, 6, tzinfo=UTC))
    assert (part.since, part.until) == (datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 11, 6, tzinfo=UTC))
    assert (before.since, before.until) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 11, 6, tzinfo=UTC))


def test_a_month_before_that_was_shorter_ends_where_this_one_begins() -> None:
    _, before = parts_of(CostQuery(), NOW)
    assert (before.since, before.until) == (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))


def test_a_time_that_was_asked_for_is_held_against_the_same_before_it() -> None:
    since = NOW - timedelta(days=7)
    part, before = parts_of(CostQuery(since=since), NOW)
    assert (part.since, part.until) == (since, NOW)
    assert (before.since, before.until) == (since - timedelta(days=7), since)
    with pytest.raises(InvalidInputError):
        parts_of(CostQuery(since=NOW), NOW)


def test_no_time_is_too_long_to_be_held_against_the_one_before() -> None:
    part, before = parts_of(
        CostQuery(since=datetime(1, 1, 1, tzinfo=UTC), until=datetime(9999, 12, 31, tzinfo=UTC)), NOW
    )
    assert (part.since, part.until.year, before.since, before.until) == (EPOCH, 9999, EPOCH, EPOCH)
    _, before = parts_of(CostQuery(since=datetime(2020, 1, 1, tzinfo=UTC), until=datetime(9999, 1, 1, tzinfo=UTC)), NOW)
    assert (before.since, before.until) == (EPOCH, datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("step", "counted", "names"),
    [
        (Step.HOUR, (12, 13, 15), ("1970-01-01T12", "1970-01-01T13", "1970-01-01T15")),
        (Step.DAY, (0, 1, 3), ("1970-01-01", "1970-01-02", "1970-01-04")),
        (Step.WEEK, (0, 1, 3), ("1970-W01", "1970-W02", "1970-W04")),
        (Step.MONTH, (20, 31, 90), ("1970-01", "1970-02", "1970-04")),
    ],
)
def test_steps_have_names_and_are_held_against_the_step_before(
    step: Step, counted: tuple[int, ...], names: tuple[str, ...]
) -> None:
    sums = [sum_of(counted[2], 4_000_000_000), sum_of(counted[0], 1_000_000_000), sum_of(counted[1], 3_000_000_000)]
    rows = rows_by_step(CostQuery(per=step), step, sums)
    assert tuple(row.period for row in rows) == names
    assert [(row.cost_usd, row.before_usd, row.change) for row in rows] == [
        (1.0, None, None),
        (3.0, 1.0, 2.0),
        (4.0, 0.0, None),
    ]
    assert [row.share for row in rows] == [0.125, 0.375, 0.5]


def test_the_days_of_a_month_are_one_row_for_each_name() -> None:
    query = CostQuery(per=Step.MONTH, by=(Dimension.USER,))
    first = (datetime(2026, 2, 1, tzinfo=UTC) - EPOCH).days
    sums = [sum_of(first + day, 1_000_000_000, user) for day in range(30) for user in ("ann", "bob")]
    rows = rows_by_step(query, Step.MONTH, sums)
    assert [(row.period, row.group["user"], row.calls, row.input_tokens) for row in rows] == [
        ("2026-02", "ann", 28, 28),
        ("2026-02", "bob", 28, 28),
        ("2026-03", "ann", 2, 2),
        ("2026-03", "bob", 2, 2),
    ]

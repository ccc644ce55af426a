from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.cost_report import moment_of
from intelforge.core.costs import Budget, Period, Scope, window_of
from intelforge.core.errors import InvalidInputError

AT = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "key", "end"),
    [
        (Period.HOUR, "2026-12-31T23", datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.DAY, "2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.MONTH, "2026-12", datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.TOTAL, "total", None),
    ],
)
def test_a_window_is_of_the_calendar_in_utc(period: Period, key: str, end: datetime | None) -> None:
    window = window_of(period, AT.astimezone(timezone(timedelta(hours=5))))
    assert (window.key, window.end) == (key, end)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)), st.sampled_from(list(Period)))
def test_windows_follow_each_other_without_a_gap(at: datetime, period: Period) -> None:
    window = window_of(period, at)
    if window.start is None or window.end is None:
        assert period is Period.TOTAL
        return
    assert window.start <= at < window.end
    assert window_of(period, window.start) == window
    assert window_of(period, window.end).start == window.end


def test_a_budget_knows_what_sets_it() -> None:
    budget = Budget(period=Period.DAY, limit_usd=5.0, scope=Scope(user="ann b", model="*"), hard=False)
    assert budget.command("10.00") == "intelforge budget set --per day --user 'ann b' --model '*' 10.00 --warn"
    assert str(budget.scope) == "user ann b, each model"
    assert str(Scope()) == "the workspace"


def test_times_are_spans_back_or_dates() -> None:
    assert moment_of("24h", AT) == AT - timedelta(days=1)
    assert moment_of("2w", AT) == AT - timedelta(days=14)
    assert moment_of("2026-01-31", AT) == datetime(2026, 1, 31, tzinfo=UTC)
    assert moment_of("2026-01-31T12:00+02:00", AT) == datetime(2026, 1, 31, 10, tzinfo=UTC)
    for wrong in ("", "yesterday", "7", "-7d", "2026-13-01", "999999d", "99999w", "0001-01-01T00:00+14:00"):
        with pytest.raises(InvalidInputError):
            moment_of(wrong, AT)

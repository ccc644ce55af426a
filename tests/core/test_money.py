from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.money import MOST_USD, NANO, dollars, known_usd, nano_of, plain, usd_of


@given(st.integers(0, 2**50))
def test_money_comes_back_as_it_went(nano: int) -> None:
    assert nano_of(usd_of(nano)) == nano


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_what_costs_no_more_counts_no_more(one: float, other: float) -> None:
    assert (one <= other) <= (nano_of(one) <= nano_of(other))


def test_what_makes_no_sense_is_not_known() -> None:
    assert [known_usd(usd) for usd in (None, -0.1, float("nan"), float("inf"), 2 * MOST_USD)] == [None] * 5
    assert (nano_of(-1.0), nano_of(float("inf"))) == (0, int(MOST_USD) * NANO)


def test_small_amounts_keep_two_digits_that_say_something() -> None:
    assert [dollars(usd) for usd in (0, 5, 1234.5, 0.5, 0.01, 0.0421, 0.00042, 3e-9)] == [
        "$0.00",
        "$5.00",
        "$1,234.50",
        "$0.50",
        "$0.01",
        "$0.042",
        "$0.00042",
        "$0.000000003",
    ]


@given(st.integers(0, 2**50))
def test_the_command_line_reads_what_it_is_told_to_write(nano: int) -> None:
    assert nano_of(float(plain(usd_of(nano)))) == nano

import pytest

from intelforge.interfaces.cli.wording import amount, counts, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.004, "0.00 s"),
        (0.42, "0.42 s"),
        (3.14, "3.1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "unit", "words"),
    [
        (1, "items", "1 item"),
        (0, "items", "0 items"),
        (1200, "chunks", "1,200 chunks"),
        (999, "bytes", "999 bytes"),
        (90_400_000, "bytes", "90.4 MB"),
        (5e15, "bytes", "5,000.0 TB"),
    ],
)
def test_amount(number: float, unit: str, words: str) -> None:
    assert amount(number, unit) == words


def test_counts_leave_out_what_is_zero() -> None:
    assert counts({"ready": 1200, "failed": 0, "skipped": 3}) == "1,200 ready, 3 skipped"
    assert counts({"ready": 0}) == ""

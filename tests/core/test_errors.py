import pickle

import pytest

from intelforge.core.errors import OUTCOMES, ErrorCode, IntelForgeError, ItemError


def test_every_code_has_an_outcome_and_an_exit_code_of_its_own() -> None:
    assert set(OUTCOMES) == set(ErrorCode)
    assert len({outcome.exit_code for outcome in OUTCOMES.values()}) == len(OUTCOMES)


def test_an_error_is_one_line() -> None:
    error = ItemError("a\nb", hint="do\tthis", code=ErrorCode.TIMED_OUT)
    assert str(error) == "a b; do this"
    assert (error.retryable, error.exit_code, error.http_status) == (True, 10, 504)


@pytest.mark.parametrize("kind", [IntelForgeError, ItemError])
def test_an_error_survives_pickling(kind: type[IntelForgeError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what", hint="how", code=ErrorCode.BLOCKED)))  # noqa: S301
    assert (type(copy), str(copy), copy.error_code) == (kind, "what; how", ErrorCode.BLOCKED)

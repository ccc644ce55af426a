from pathlib import Path

import pytest

from intelforge.core.errors import BusyError, ErrorCode, IntelForgeError, StorageError
from intelforge.index.lancedb_errors import translated


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (OSError("LanceError(IO): No space left on device (os error 28)"), ErrorCode.DISK_FULL),
        (OSError("Read-only file system (os error 30)"), ErrorCode.READ_ONLY),
        (OSError("Permission denied (os error 13)"), ErrorCode.READ_ONLY),
        (RuntimeError("Retryable commit conflict for version 7"), ErrorCode.BUSY),
        (RuntimeError("invalid footer magic"), ErrorCode.DAMAGED),
    ],
)
def test_what_lance_raises_becomes_a_code_and_a_hint(tmp_path: Path, raised: Exception, code: ErrorCode) -> None:
    with pytest.raises((StorageError, BusyError)) as caught, translated(tmp_path):
        raise raised
    assert caught.value.error_code is code
    assert caught.value.hint


def test_a_message_has_no_place_in_the_source_of_lance(tmp_path: Path) -> None:
    said = "lance error: Invalid footer, /root/.cargo/registry/src/index.crates.io-1/lance-file-7.0/src/reader.rs:77:13"
    with pytest.raises(StorageError, match=r"\(lance error: Invalid footer\)"), translated(tmp_path):
        raise RuntimeError(said)


def test_our_own_errors_and_interrupts_pass(tmp_path: Path) -> None:
    for error in (IntelForgeError("ours"), KeyboardInterrupt()):
        with pytest.raises(type(error)), translated(tmp_path):
            raise error
